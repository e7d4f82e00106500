"""A sandbox's folder on a real disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.errors import LockedError, UsageError
from sandbox import state


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.mark.parametrize("name", ["", "Up", "a/b", "..", "a_b", "-a", "a-", "a" * 41])
def test_a_name_that_no_container_can_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not a valid sandbox name"):
        state.folder(name)


def test_folders_are_in_the_state_home_and_listed_by_name(tmp_path: Path) -> None:
    assert state.names() == []
    with state.locked(state.folder("two")), state.locked(state.folder("one")):
        assert state.names() == ["one", "two"]
    assert state.folder("one").path == tmp_path / "py-cicd" / "one"
    assert state.folder("one").path.stat().st_mode & 0o777 == 0o700


def test_a_second_process_learns_who_holds_the_lock_until_it_is_released() -> None:
    folder = state.folder("blue")
    with state.locked(folder), pytest.raises(LockedError, match=r"by process \d+"):  # noqa: SIM117
        with state.locked(folder):
            pass
    with state.locked(folder):
        pass


def test_a_file_is_replaced_atomically_with_its_mode_and_not_rewritten_if_equal() -> None:
    folder = state.folder("blue")
    with state.locked(folder):
        folder.write("secret", b"one", mode=0o600)
        before = (folder.path / "secret").stat()
        folder.write("secret", b"one", mode=0o600)
        assert (folder.path / "secret").stat().st_ino == before.st_ino
        folder.write("secret", b"two", mode=0o640)
    assert folder.read("secret") == b"two"
    assert (folder.path / "secret").stat().st_mode & 0o777 == 0o640
    assert folder.read("nothing") is None
    assert sorted(file.name for file in folder.path.iterdir()) == ["lock", "secret"]
