"""Checks the prerequisites: system, disk, Debian packages, Docker and tools. Each missing one has its exact fix."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from toolchain.docker_daemon import DockerDaemon
from toolchain.machine import TESTED_SYSTEMS, LocalMachine
from toolchain.tools.tool import Tool
from toolchain.tools.toolset import Toolset

FIX = "./ship doctor --fix"
DISK_GB = 8  # tools 1.3, images and building them 4, and a reserve


class Batch(Enum):
    """The packages that apt installs together, in this order: apt runs once at a time, other tasks run beside it."""

    DOWNLOADS = "downloads"  # tools are downloaded with them
    BUILDS = "builds"  # images are built and run with them
    TESTS = "tests"  # only tests use them, and the journeys at the end of `ship up`


@dataclass(frozen=True)
class Package:
    """A Debian package that must be installed, and the programs or the file that show that it is."""

    name: str
    why: str
    download_mb: int
    programs: tuple[str, ...] = ()
    file: str | None = None
    unless_root: bool = False
    batch: Batch = Batch.BUILDS

    def is_installed(self, machine: LocalMachine) -> bool:
        """Returns whether the machine has what the package provides, whatever installed it."""
        if self.file is not None:
            return machine.has_file(self.file)
        return machine.has_program(*self.programs)


PACKAGES = (
    Package(
        *("ca-certificates", "to verify TLS certificates", 1),
        file="/etc/ssl/certs/ca-certificates.crt",
        batch=Batch.DOWNLOADS,
    ),
    Package(
        *("debian-archive-keyring", "to verify Debian's packages", 1),
        file="/usr/share/keyrings/debian-archive-keyring.gpg",
        batch=Batch.DOWNLOADS,
    ),
    Package("git", "to read revisions and changes", 30, programs=("git",)),
    Package("mmdebstrap", "to build base images", 12, programs=("mmdebstrap",)),
    Package("rsync", "for gitlab-ci-local", 1, programs=("rsync",), batch=Batch.TESTS),
    Package(
        *("uidmap", "to build base images without root", 1),
        programs=("newuidmap",),
        unless_root=True,
    ),
    Package(
        *("chromium", "for browser tests", 110),
        programs=("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
        batch=Batch.TESTS,
    ),
)
DOCKER_PACKAGE = Package("docker.io", "to run containers", 75, programs=("dockerd",))


@dataclass(frozen=True)
class Finding:
    """The result for one prerequisite: a line of `ship doctor`."""

    name: str
    found: bool
    detail: str
    fix: str | None = None


def missing_packages(machine: LocalMachine, daemon: DockerDaemon) -> tuple[Package, ...]:
    """Returns the packages that apt must install.

    Docker's is one of them only if no daemon answers at the default socket: the user is responsible for a daemon that
    DOCKER_HOST names.
    """
    missing = [package for package in _required(machine) if not package.is_installed(machine)]
    if daemon.is_local and not daemon.answers() and not DOCKER_PACKAGE.is_installed(machine):
        missing.append(DOCKER_PACKAGE)
    return tuple(missing)


def check_prerequisites(
    machine: LocalMachine, toolset: Toolset, daemon: DockerDaemon
) -> list[Finding]:
    """Returns all findings, in the order in which set-up fixes them."""
    return [
        _system(machine),
        _disk(toolset.paths.cache),
        *(_package(package, machine) for package in _required(machine)),
        _docker(machine, daemon),
        *(_tool(tool, toolset.paths.caches) for tool in toolset.for_tests),
    ]


def _required(machine: LocalMachine) -> list[Package]:
    return [package for package in PACKAGES if not (package.unless_root and machine.is_root)]


def _system(machine: LocalMachine) -> Finding:
    name, version = machine.system
    detail = f"{name} {version}, {machine.architecture}"
    if machine.architecture != "x86_64" or not machine.has_program("apt-get"):
        return Finding("system", False, detail, "use Debian 12 or 13 (or Ubuntu 24.04) on x86-64")
    tested = (name, version) in TESTED_SYSTEMS
    return Finding("system", True, detail if tested else f"{detail} (untested)")


def _disk(cache: Path) -> Finding:
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    fix = f"free space below {existing}, or set XDG_CACHE_HOME to a larger disk"
    enough = free_gb >= DISK_GB
    detail = f"{free_gb:.0f} GB free, {DISK_GB} GB needed"
    return Finding("disk", enough, detail, None if enough else fix)


def _package(package: Package, machine: LocalMachine) -> Finding:
    found = package.is_installed(machine)
    fix = None if found else f"{FIX}  (or: {install_command(machine, [package])})"
    return Finding(package.name, found, package.why, fix)


def install_command(machine: LocalMachine, packages: Sequence[Package]) -> str:
    """Returns the shell command that installs the packages."""
    names = " ".join(package.name for package in packages)
    return " ".join([*machine.as_root, "apt-get install --no-install-recommends", names])


def _docker(machine: LocalMachine, daemon: DockerDaemon) -> Finding:
    name = "docker engine"
    if daemon.answers():
        return Finding(name, True, f"answers at {daemon.address}")
    if not daemon.is_local:
        return Finding(name, False, f"no answer at {daemon.address}", "unset DOCKER_HOST")
    if daemon.refuses_user:
        fix = "sudo usermod -aG docker $USER  (then log in again)"
        return Finding(name, False, f"{daemon.address} refuses this user", fix)
    installed = DOCKER_PACKAGE.is_installed(machine)
    detail = "installed, not running" if installed else "not installed"
    by_hand = "" if installed else f"  (or: {install_command(machine, [DOCKER_PACKAGE])})"
    return Finding(name, False, detail, FIX + by_hand)


def _tool(tool: Tool, caches: Sequence[Path]) -> Finding:
    found = tool.is_installed(*caches)
    detail = str(tool.folder(*caches)) if found else f"{tool.download_mb} MB to download"
    return Finding(tool.title, found, detail, None if found else FIX)
