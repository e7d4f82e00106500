"""Tests of the facts read from a machine's files, on a temporary root."""

from pathlib import Path

from toolchain.machine import LocalMachine


def machine_at(root: Path, *, is_root: bool = True) -> LocalMachine:
    return LocalMachine(root, ("/usr/bin", "/usr/sbin"), is_root)


def test_programs_must_be_executable(tmp_path: Path) -> None:
    folder = tmp_path / "usr" / "sbin"
    folder.mkdir(parents=True)
    (folder / "dockerd").touch(mode=0o755)
    (folder / "notes").touch(mode=0o644)
    machine = machine_at(tmp_path)
    assert machine.has_program("missing", "dockerd")
    assert not machine.has_program("notes")


def test_system_comes_from_os_release(tmp_path: Path) -> None:
    assert machine_at(tmp_path).system == ("unknown", "")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text('NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\n')
    assert machine_at(tmp_path).system == ("ubuntu", "24.04")


def test_an_empty_file_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert not machine_at(tmp_path).has_file("/empty")


def test_root_needs_no_sudo(tmp_path: Path) -> None:
    assert machine_at(tmp_path).as_root == ()
    assert machine_at(tmp_path, is_root=False).as_root == ("sudo",)
