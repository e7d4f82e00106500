"""Tests of the findings of `ship doctor`, with temporary machines and a fake Docker daemon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain.docker_daemon_fixture import FakeDockerDaemon
from toolchain.doctor import document, render
from toolchain.machine import LocalMachine
from toolchain.paths import find_paths
from toolchain.prerequisites import PACKAGES, Package, check_prerequisites, missing_packages
from toolchain.tools.toolset import Toolset


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[FakeDockerDaemon]:
    with FakeDockerDaemon(tmp_path / "docker.sock") as fake:
        yield fake


def full_machine(root: Path) -> LocalMachine:
    for package in PACKAGES:
        if package.file:
            file = root / package.file.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("x")
        for program in ("apt-get", *package.programs):
            path = root / "usr" / "bin" / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o755)
    (root / "etc" / "os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    return LocalMachine(root, ("/usr/bin",), is_root=True)


def toolset_at(tmp_path: Path) -> Toolset:
    return Toolset(find_paths({"HOME": str(tmp_path / "home")}))


def names(packages: tuple[Package, ...]) -> list[str]:
    return [package.name for package in packages]


def test_an_empty_machine_lacks_all_packages_except_uidmap_for_root(tmp_path: Path) -> None:
    bare = LocalMachine(tmp_path, ("/usr/bin",), is_root=True)
    absent = FakeDockerDaemon.absent(tmp_path)
    assert names(missing_packages(bare, absent)) == [
        "ca-certificates",
        "debian-archive-keyring",
        "git",
        "mmdebstrap",
        "rsync",
        "chromium",
    ]
    as_user = LocalMachine(tmp_path, ("/usr/bin",), is_root=False)
    assert "uidmap" in names(missing_packages(as_user, absent))


def test_a_running_docker_engine_needs_no_package(tmp_path: Path, docker: FakeDockerDaemon) -> None:
    machine = full_machine(tmp_path / "machine")
    assert missing_packages(machine, docker.daemon) == ()
    by_name = {
        finding.name: finding
        for finding in check_prerequisites(machine, toolset_at(tmp_path), docker.daemon)
    }
    assert by_name["docker engine"].found
    assert by_name["system"].detail == "debian 12, x86_64"


def test_every_missing_prerequisite_has_a_fix(tmp_path: Path) -> None:
    bare = LocalMachine(tmp_path, ("/usr/bin",), is_root=False)
    findings = check_prerequisites(bare, toolset_at(tmp_path), FakeDockerDaemon.absent(tmp_path))
    missing = [finding for finding in findings if not finding.found]
    assert len(missing) >= len(PACKAGES)
    assert all(finding.fix for finding in missing)
    assert all(finding.fix is None for finding in findings if finding.found)
    git = next(finding for finding in findings if finding.name == "git")
    assert git.fix == (
        "./ship doctor --fix  (or: sudo apt-get install --no-install-recommends git)"
    )


def test_an_unsupported_system_is_reported_with_the_supported_ones(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text("ID=alpine\nVERSION_ID=3.22\n")
    bare = LocalMachine(tmp_path, ("/usr/bin",), is_root=True)
    system = check_prerequisites(bare, toolset_at(tmp_path), FakeDockerDaemon.absent(tmp_path))[0]
    assert (system.found, system.detail) == (False, "alpine 3.22, x86_64")
    assert system.fix == "use Debian 12 or 13 (or Ubuntu 24.04) on x86-64"


def test_the_table_and_the_document_agree(tmp_path: Path) -> None:
    bare = LocalMachine(tmp_path, ("/usr/bin",), is_root=True)
    findings = check_prerequisites(bare, toolset_at(tmp_path), FakeDockerDaemon.absent(tmp_path))
    missing = sum(not finding.found for finding in findings)
    assert render(findings).splitlines()[-1] == f"{missing} missing: ./ship doctor --fix"
    printed = document(findings, 1)
    assert printed["ok"] is False
    assert isinstance(printed["checks"], list)
    assert len(printed["checks"]) == len(findings)
