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
def test_a_name_that_could_not_be_a_container_s_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="can't name a sandbox"):
        state.folder(name)


def test_folders_lie_under_the_state_home_and_are_listed(tmp_path: Path) -> None:
    assert state.names() == []
    with state.locked(state.folder("two")), state.locked(state.folder("one")):
        assert state.names() == ["one", "two"]
    assert state.folder("one").path == tmp_path / "py-cicd" / "one"
    assert state.folder("one").path.stat().st_mode & 0o777 == 0o700


def test_a_second_maker_is_told_who_is_at_work_and_the_lock_ends_with_the_first() -> None:
    place = state.folder("blue")
    with state.locked(place), pytest.raises(LockedError, match=r"by process \d+"):  # noqa: SIM117
        with state.locked(place):
            pass
    with state.locked(place):
        pass


def test_a_file_is_replaced_whole_with_its_mode_and_left_alone_if_it_is_as_wanted() -> None:
    place = state.folder("blue")
    with state.locked(place):
        place.write("secret", b"one", mode=0o600)
        before = (place.path / "secret").stat()
        place.write("secret", b"one", mode=0o600)
        assert (place.path / "secret").stat().st_ino == before.st_ino
        place.write("secret", b"two", mode=0o640)
    assert place.read("secret") == b"two"
    assert (place.path / "secret").stat().st_mode & 0o777 == 0o640
    assert place.read("nothing") is None
    assert sorted(each.name for each in place.path.iterdir()) == ["lock", "secret"]
