"""What must be there before anything runs, found or missing, each with the exact fix.

It only looks: `preparing` is what installs.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.engine import Engine
from toolchain.machine import TRIED, Machine
from toolchain.tools.all import Chain
from toolchain.tools.tool import Piece

FIX = "./ship doctor --fix"
DISK_GB = 8  # tools 1.3, images and their build 4, and room


@dataclass(frozen=True)
class Package:
    """A Debian package that the machine itself needs, and how to see that it is there."""

    name: str
    why: str
    download_mb: int
    programs: tuple[str, ...] = ()
    file: str | None = None
    unless_root: bool = False

    def is_there(self, machine: Machine) -> bool:
        """Whether what the package brings is on this machine, from wherever it came."""
        if self.file is not None:
            return machine.has_file(self.file)
        return machine.has_program(*self.programs)


PACKAGES = (
    Package(
        *("ca-certificates", "to trust what is downloaded", 1),
        file="/etc/ssl/certs/ca-certificates.crt",
    ),
    Package(
        *("debian-archive-keyring", "to check Debian's packages", 1),
        file="/usr/share/keyrings/debian-archive-keyring.gpg",
    ),
    Package("git", "to know the revision and what changed", 30, programs=("git",)),
    Package("mmdebstrap", "to make base images", 12, programs=("mmdebstrap",)),
    Package("rsync", "for the emulator of GitLab's runner", 1, programs=("rsync",)),
    Package(
        *("uidmap", "to make base images without root", 1),
        programs=("newuidmap",),
        unless_root=True,
    ),
    Package(
        *("chromium", "for the tests in a browser", 110),
        programs=("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    ),
)
ENGINE_PACKAGE = Package("docker.io", "to run containers", 75, programs=("dockerd",))


@dataclass(frozen=True)
class Finding:
    """One line of `ship doctor`."""

    name: str
    found: bool
    detail: str
    fix: str | None = None


def missing_packages(machine: Machine, engine: Engine) -> tuple[Package, ...]:
    """The packages that apt must install; Docker's only where no engine answers and none is there.

    An engine at an address that the user chose (DOCKER_HOST) is the user's to mend.
    """
    missing = [each for each in _wanted(machine) if not each.is_there(machine)]
    if engine.is_local and not engine.answers() and not ENGINE_PACKAGE.is_there(machine):
        missing.append(ENGINE_PACKAGE)
    return tuple(missing)


def examine(machine: Machine, chain: Chain, engine: Engine) -> list[Finding]:
    """Look at everything, in the order in which it would be mended."""
    return [
        _system(machine),
        _disk(chain.places.cache),
        *(_package(each, machine) for each in _wanted(machine)),
        _engine(machine, engine),
        *(_piece(piece, chain.places.caches) for piece in chain.for_tests),
    ]


def _wanted(machine: Machine) -> list[Package]:
    return [each for each in PACKAGES if not (each.unless_root and machine.is_root)]


def _system(machine: Machine) -> Finding:
    name, version = machine.system
    detail = f"{name} {version}, {machine.architecture}"
    if machine.architecture != "x86_64" or not machine.has_program("apt-get"):
        return Finding("system", False, detail, "use Debian 12 or 13 (or Ubuntu 24.04) on x86-64")
    tried = (name, version) in TRIED
    return Finding("system", True, detail if tried else f"{detail} (untried)")


def _disk(cache: Path) -> Finding:
    there = next(path for path in (cache, *cache.parents) if path.exists())
    free_gb = shutil.disk_usage(there).free / 1e9
    fix = f"free space below {there}, or set XDG_CACHE_HOME to a larger disk"
    enough = free_gb >= DISK_GB
    detail = f"{free_gb:.0f} GB free of {DISK_GB} wanted"
    return Finding("disk", enough, detail, None if enough else fix)


def _package(package: Package, machine: Machine) -> Finding:
    found = package.is_there(machine)
    fix = None if found else f"{FIX}  (or: {install_command(machine, [package])})"
    return Finding(package.name, found, package.why, fix)


def install_command(machine: Machine, packages: Sequence[Package]) -> str:
    """What a person types to install the packages."""
    names = " ".join(package.name for package in packages)
    return " ".join([*machine.as_root, "apt-get install --no-install-recommends", names])


def _engine(machine: Machine, engine: Engine) -> Finding:
    if engine.answers():
        return Finding("docker engine", True, f"answers at {engine.address}")
    if not engine.is_local:
        return Finding(
            "docker engine", False, f"no answer at {engine.address}", "unset DOCKER_HOST"
        )
    if engine.is_refused:
        fix = "sudo usermod -aG docker $USER  (then log in anew)"
        return Finding("docker engine", False, f"{engine.address} refuses this user", fix)
    there = ENGINE_PACKAGE.is_there(machine)
    detail = "installed, not running" if there else "not installed"
    by_hand = "" if there else f"  (or: {install_command(machine, [ENGINE_PACKAGE])})"
    return Finding("docker engine", False, detail, FIX + by_hand)


def _piece(piece: Piece, caches: Sequence[Path]) -> Finding:
    found = piece.is_whole(*caches)
    detail = str(piece.home(*caches)) if found else f"{piece.download_mb} MB to download"
    return Finding(piece.title, found, detail, None if found else FIX)
