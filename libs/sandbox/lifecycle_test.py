"""What can be said of sandboxes without an engine; e2e/sandbox_test.py makes real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.errors import EngineError, UsageError
from sandbox import lifecycle, state


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    # The reserved port 1: nothing listens there.
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


def _no_image(name: str) -> str:
    raise AssertionError(f"asked for {name}")


@pytest.mark.parametrize("hosts", [0, 17])
def test_a_number_of_hosts_that_cannot_be_is_refused(hosts: int) -> None:
    with pytest.raises(UsageError, match="1 to 16 hosts"):
        lifecycle.create("blue", hosts, print, base_image=_no_image)
    assert state.names() == []


def test_without_an_engine_nothing_is_begun_and_the_fix_is_named() -> None:
    with pytest.raises(EngineError) as caught:
        lifecycle.create("blue", 1, print, base_image=_no_image)
    assert caught.value.hint == "./ship doctor --fix"
    assert state.names() == []


def test_removing_what_is_not_there_needs_no_engine() -> None:
    lifecycle.destroy("blue", print)


def test_removing_what_may_be_there_does() -> None:
    with state.locked(state.folder("blue")):
        pass
    with pytest.raises(EngineError):
        lifecycle.destroy("blue", print)
    assert state.names() == ["blue"]


def test_a_half_made_sandbox_has_a_name_but_no_path_and_no_hosts() -> None:
    place = state.folder("blue")
    with state.locked(place):
        assert (state.path("blue"), state.host_count("blue")) == (None, 0)
        place.write(state.ENVIRONMENT, b"[[hosts]]\n[[hosts]]\n")
    assert (state.path("blue"), state.host_count("blue")) == (place.environment, 2)
