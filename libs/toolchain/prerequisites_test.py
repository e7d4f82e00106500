"""Tests of what doctor finds, on made-up machines and engines that are really asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain.doctor import document, render
from toolchain.engine import Engine
from toolchain.engine_fixture import ServedEngine
from toolchain.machine import Machine
from toolchain.paths import find_places
from toolchain.prerequisites import PACKAGES, Package, examine, missing_packages
from toolchain.tools.all import Chain

NO_ENGINE = Engine("unix:///var/run/docker.sock")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ServedEngine]:
    with ServedEngine(tmp_path / "docker.sock") as served:
        yield served


def full_machine(root: Path) -> Machine:
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
    return Machine(root, ("/usr/bin",), is_root=True)


def chain_at(tmp_path: Path) -> Chain:
    return Chain(find_places({"HOME": str(tmp_path / "home")}))


def names(packages: tuple[Package, ...]) -> list[str]:
    return [package.name for package in packages]


def test_a_bare_machine_lacks_all_but_what_root_can_do_without(tmp_path: Path) -> None:
    bare = Machine(tmp_path, ("/usr/bin",), is_root=True)
    silent = ServedEngine.nobody(tmp_path)
    assert names(missing_packages(bare, silent)) == [
        "ca-certificates",
        "debian-archive-keyring",
        "git",
        "mmdebstrap",
        "rsync",
        "chromium",
    ]
    person = Machine(tmp_path, ("/usr/bin",), is_root=False)
    assert "uidmap" in names(missing_packages(person, silent))


def test_an_engine_that_answers_is_used_as_it_is(tmp_path: Path, engine: ServedEngine) -> None:
    machine = full_machine(tmp_path / "machine")
    assert missing_packages(machine, engine.engine) == ()
    found = {
        finding.name: finding for finding in examine(machine, chain_at(tmp_path), engine.engine)
    }
    assert found["docker engine"].found
    assert found["system"].detail == "debian 12, x86_64"


def test_every_missing_thing_has_a_fix(tmp_path: Path) -> None:
    bare = Machine(tmp_path, ("/usr/bin",), is_root=False)
    findings = examine(bare, chain_at(tmp_path), ServedEngine.nobody(tmp_path))
    missing = [finding for finding in findings if not finding.found]
    assert len(missing) >= len(PACKAGES)
    assert all(finding.fix for finding in missing)
    assert all(finding.fix is None for finding in findings if finding.found)
    git = next(finding for finding in findings if finding.name == "git")
    assert git.fix == (
        "./ship doctor --fix  (or: sudo apt-get install --no-install-recommends git)"
    )


def test_another_system_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text("ID=alpine\nVERSION_ID=3.22\n")
    bare = Machine(tmp_path, ("/usr/bin",), is_root=True)
    system = examine(bare, chain_at(tmp_path), ServedEngine.nobody(tmp_path))[0]
    assert (system.found, system.detail) == (False, "alpine 3.22, x86_64")
    assert system.fix == "use Debian 12 or 13 (or Ubuntu 24.04) on x86-64"


def test_the_report_for_people_and_for_programs_agree(tmp_path: Path) -> None:
    bare = Machine(tmp_path, ("/usr/bin",), is_root=True)
    findings = examine(bare, chain_at(tmp_path), ServedEngine.nobody(tmp_path))
    missing = sum(not finding.found for finding in findings)
    assert render(findings).splitlines()[-1] == f"{missing} missing: ./ship doctor --fix"
    told = document(findings, 1)
    assert told["ok"] is False
    assert isinstance(told["checks"], list)
    assert len(told["checks"]) == len(findings)
