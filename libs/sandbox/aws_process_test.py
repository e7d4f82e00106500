"""The AWS server's process, really started, killed and replaced."""

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
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder("test", tmp_path)
    credentials.ensure(folder)
    ports.claim(folder, PURPOSES)
    yield folder
    aws_process.stop(folder)


def _port(folder: Folder) -> int:
    return ports.claim(folder, [])[ports.AWS_SERVER]


def _start(folder: Folder) -> bool:
    started = aws_process.ensure_running(folder, {"the AWS server": _port(folder)})
    aws_process.await_ready(folder, _port(folder))
    return started


def test_it_runs_in_a_session_of_its_own_and_is_started_once(folder: Folder) -> None:
    assert _start(folder)
    pid = int((folder.path / aws_process.PID_FILE).read_text().split()[0])
    assert os.getsid(pid) == pid != os.getsid(0)
    assert not _start(folder)
    aws_process.stop(folder)
    aws_process.stop(folder)
    assert ports.is_free(_port(folder))


def test_a_killed_server_and_one_of_another_version_are_replaced(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _start(folder)
    first = int((folder.path / aws_process.PID_FILE).read_text().split()[0])
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    assert _start(folder)
    monkeypatch.setattr(aws_process, "_version", lambda: "newer")
    assert _start(folder)
    assert (folder.path / aws_process.PID_FILE).read_text().split()[1] == "newer"


def test_an_unlocked_pid_file_is_ignored(folder: Folder) -> None:
    (folder.path / aws_process.PID_FILE).write_text(f"{os.getpid()} stale")
    aws_process.stop(folder)
    assert _start(folder)


def test_a_taken_port_is_reported_before_anything_is_started(folder: Folder) -> None:
    with (
        socket.create_server((ports.ADDRESS, _port(folder))),
        pytest.raises(ports.PortTakenError, match="for the AWS server"),
    ):
        aws_process.ensure_running(folder, {"the AWS server": _port(folder)})
    assert not (folder.path / aws_process.PID_FILE).exists()


def test_the_error_has_the_last_line_of_the_log(folder: Folder) -> None:
    (folder.path / ports.FILE).write_text('{"registry": 1}')
    aws_process.ensure_running(folder, {})
    with pytest.raises(aws_process.AwsServerError, match="KeyError: 'pushes'") as caught:
        aws_process.await_ready(folder, 0)
    assert aws_process.LOG_FILE in caught.value.hint
