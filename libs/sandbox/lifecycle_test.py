"""Creating and removing sandboxes while there is no engine; e2e/sandbox_test.py creates real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.errors import EngineError, UsageError
from sandbox import lifecycle, state


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    # Nothing listens on the reserved port 1.
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


def _no_image(name: str) -> str:
    raise AssertionError(f"base image {name} requested")


@pytest.mark.parametrize("hosts", [0, 17])
def test_an_impossible_number_of_hosts_is_refused(hosts: int) -> None:
    with pytest.raises(UsageError, match="1 to 16 hosts"):
        lifecycle.create("blue", hosts, print, base_image=_no_image)
    assert state.names() == []


def test_without_an_engine_nothing_is_created_and_the_error_names_the_fix() -> None:
    with pytest.raises(EngineError) as caught:
        lifecycle.create("blue", 1, print, base_image=_no_image)
    assert caught.value.hint == "./ship doctor --fix"
    assert state.names() == []


def test_removing_a_missing_sandbox_needs_no_engine() -> None:
    lifecycle.destroy("blue", print)


def test_removing_an_incomplete_sandbox_needs_an_engine() -> None:
    with state.locked(state.folder("blue")):
        pass
    with pytest.raises(EngineError):
        lifecycle.destroy("blue", print)
    assert state.names() == ["blue"]


def test_an_incomplete_sandbox_has_a_name_but_no_environment_file_and_no_hosts() -> None:
    folder = state.folder("blue")
    with state.locked(folder):
        assert (state.path("blue"), state.host_count("blue")) == (None, 0)
        folder.write(state.ENVIRONMENT, b"[[hosts]]\n[[hosts]]\n")
    assert (state.path("blue"), state.host_count("blue")) == (folder.environment, 2)
