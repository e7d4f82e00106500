"""The control plane's process, started, killed and replaced for real."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import (
    aws_process,
    credentials,
    ports,
)
from sandbox.lifecycle import PURPOSES
from sandbox.state import Folder


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Folder]:
    made = Folder("test", tmp_path)
    credentials.ensure(made)
    ports.claim(made, PURPOSES)
    yield made
    aws_process.stop(made)


def _port(place: Folder) -> int:
    return ports.claim(place, [])["control plane"]


def _start(place: Folder) -> bool:
    started = aws_process.ensure_running(place, {"control plane": _port(place)})
    aws_process.await_ready(place, _port(place))
    return started


def test_outlives_its_starter_in_a_session_of_its_own_and_is_started_once(place: Folder) -> None:
    assert _start(place)
    pid = int((place.path / aws_process.PID).read_text().split()[0])
    assert os.getsid(pid) == pid != os.getsid(0)
    assert not _start(place)
    aws_process.stop(place)
    aws_process.stop(place)
    assert ports.is_free(_port(place))


def test_a_killed_one_is_replaced_and_one_of_another_version_too(
    place: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _start(place)
    first = int((place.path / aws_process.PID).read_text().split()[0])
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    assert _start(place)
    monkeypatch.setattr(aws_process, "_version", lambda: "newer")
    assert _start(place)
    assert (place.path / aws_process.PID).read_text().split()[1] == "newer"


def test_a_pid_file_that_nobody_holds_means_nothing(place: Folder) -> None:
    (place.path / aws_process.PID).write_text(f"{os.getpid()} stale")
    aws_process.stop(place)
    assert _start(place)


def test_a_taken_port_is_said_before_anything_is_started(place: Folder) -> None:
    with (
        socket.create_server((ports.ADDRESS, _port(place))),
        pytest.raises(ports.PortTakenError, match="for control plane"),
    ):
        aws_process.ensure_running(place, {"control plane": _port(place)})
    assert not (place.path / aws_process.PID).exists()


def test_what_it_said_before_it_died_is_in_the_error(place: Folder) -> None:
    (place.path / ports.FILE).write_text('{"registry": 1}')
    aws_process.ensure_running(place, {})
    with pytest.raises(aws_process.ControlPlaneError, match="KeyError: 'pushes'") as caught:
        aws_process.await_ready(place, 0)
    assert aws_process.LOG in caught.value.hint
