"""Starts and stops the AWS server, a process that outlives the command that started it.

The process holds a kernel lock on its pid file for as long as it lives. An unlocked pid file is stale, and the pid in a
locked one can't belong to another process.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from importlib import resources
from typing import NamedTuple

from deploy.errors import ShipError
from sandbox.ports import ADDRESS, require_free
from sandbox.state import Folder

# Existing sandboxes have these files.
PID_FILE = "control-plane.pid"
LOG_FILE = "control-plane.log"
READY_S = 30.0
STOP_S = 5.0
# The file descriptor of the locked pid file in the child.
_PID_DESCRIPTOR = 3
_VERSION_VARIABLE = "PY_CICD_AWS_SERVER_VERSION"


class AwsServerError(ShipError):
    """The AWS server did not start or did not stop."""


class _Process(NamedTuple):
    pid: int
    version: str


def ensure_running(folder: Folder, ports: Mapping[str, int]) -> bool:
    """Starts the AWS server unless this version of it runs. Returns whether it did, without waiting.

    `ports` are those that it will listen on, by purpose. Raises PortTakenError if one of them is taken.
    """
    version = _version()
    process = _running(folder)
    if process and process.version == version:
        return False
    if process:
        stop(folder)
    require_free(folder.name, ports)
    _spawn(folder, version)
    return True


def await_ready(folder: Folder, port: int) -> None:
    """Waits until the server accepts connections on `port`, the last that it opens. Raises AwsServerError."""

    def accepts() -> bool:
        if _running(folder) is None:
            raise _did_not_start(folder)
        with socket.socket() as probe:
            return probe.connect_ex((ADDRESS, port)) == 0

    if not _poll(accepts, READY_S):
        raise _did_not_start(folder)


def stop(folder: Folder) -> None:
    """Terminates the process if it runs. Raises AwsServerError if it can't be killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = _running(folder)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
        if _poll(lambda: _running(folder) is None, STOP_S):
            return
    raise AwsServerError(
        f"the AWS server of sandbox {folder.name} did not stop; nothing else was changed",
        hint="repeat the command",
    )


def announce() -> None:
    """Writes the pid and version of this process, the server, into the locked pid file that it inherited."""
    os.ftruncate(_PID_DESCRIPTOR, 0)
    content = f"{os.getpid()} {os.environ.get(_VERSION_VARIABLE, '')}"
    os.pwrite(_PID_DESCRIPTOR, content.encode(), 0)
    os.set_inheritable(_PID_DESCRIPTOR, False)


def _running(folder: Folder) -> _Process | None:
    """Returns the running process, None if there is none."""
    try:
        descriptor = os.open(folder.path / PID_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        words: list[str] = []

        def is_known() -> bool:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                return True
            words[:] = os.pread(descriptor, 100, 0).decode().split()
            return len(words) == 2

        # A process that has just started has locked the file but not yet written to it.
        _poll(is_known, READY_S)
        return _Process(int(words[0]), words[1]) if len(words) == 2 else None
    finally:
        os.close(descriptor)


def _spawn(folder: Folder, version: str) -> None:
    locked = os.open(folder.path / PID_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    log = os.open(folder.path / LOG_FILE, log_flags, 0o600)
    try:
        fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(locked, 0)
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "sandbox.aws.server", str(folder.path)],
            _environment(version),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                (os.POSIX_SPAWN_DUP2, locked, _PID_DESCRIPTOR),
            ],
            # In a session of its own, Ctrl-C in this terminal doesn't reach it.
            setsid=True,
        )
    finally:
        os.close(log)
        os.close(locked)


def _environment(version: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TZ") if name in os.environ}
    path = os.pathsep.join(filter(None, sys.path))
    return {**kept, _VERSION_VARIABLE: version, "PYTHONPATH": path}


def _version() -> str:
    """Returns a hash of the server's code and moto's version. A running server of another version is replaced."""
    modules = (
        file for file in resources.files("sandbox.aws").iterdir() if file.name.endswith(".py")
    )
    sources = [file.read_bytes() for file in sorted(modules, key=lambda file: file.name)]
    content = b"\0".join([*sources, importlib.metadata.version("moto").encode()])
    return hashlib.sha256(content).hexdigest()[:16]


def _did_not_start(folder: Folder) -> AwsServerError:
    lines = (folder.read(LOG_FILE) or b"").decode(errors="replace").strip().splitlines()
    return AwsServerError(
        f"the AWS server did not start: {lines[-1] if lines else 'its log is empty'}",
        hint=f"see {folder.path / LOG_FILE}, then repeat the command",
    )


def _poll(done: Callable[[], bool], limit_s: float) -> bool:
    """Returns whether `done` became true within the limit."""
    deadline = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True
