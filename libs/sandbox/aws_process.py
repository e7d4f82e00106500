"""The control plane as a process that outlives whoever started it; never takes another process for it.

It holds a kernel lock on its pid file for as long as it lives: no stale file, no pid that means another process.
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

from deploy.errors import ShipError
from sandbox.ports import ADDRESS, require_free
from sandbox.state import Folder

PID = "control-plane.pid"
LOG = "control-plane.log"
READY_S = 30.0
STOP_S = 5.0
# The number under which the child finds the locked pid file.
_LOCKED = 3
_KEY = "PY_CICD_CONTROL_PLANE_KEY"


class ControlPlaneError(ShipError):
    """The control plane's process did not start or did not end."""


def ensure_running(place: Folder, ports: Mapping[str, int]) -> bool:
    """Starts the control plane unless this very version runs; returns whether it did. Doesn't wait.

    `ports` are those that it will listen on, by what for.
    """
    wanted = _version()
    holder = _holder(place)
    if holder and holder[1] == wanted:
        return False
    if holder:
        stop(place)
    require_free(place.name, ports)
    _spawn(place, wanted)
    return True


def await_ready(place: Folder, port: int) -> None:
    """Waits until it accepts connections on `port`, which it opens last. Raises ControlPlaneError."""

    def accepts() -> bool:
        if _holder(place) is None:
            raise _did_not_start(place)
        with socket.socket() as probe:
            return probe.connect_ex((ADDRESS, port)) == 0

    if not _poll(accepts, READY_S):
        raise _did_not_start(place)


def stop(place: Folder) -> None:
    """Ends the process, if it lives."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        holder = _holder(place)
        if holder is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder[0], number)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(holder[0], os.WNOHANG)
        if _poll(lambda: _holder(place) is None, STOP_S):
            return
    raise ControlPlaneError(
        f"the control plane of sandbox {place.name} does not end; all else is as it was",
        hint="repeat the command",
    )


def announce() -> None:
    """In the child: writes its pid and version into the pid file that it inherited, locked."""
    os.ftruncate(_LOCKED, 0)
    os.pwrite(_LOCKED, f"{os.getpid()} {os.environ.get(_KEY, '')}".encode(), 0)
    os.set_inheritable(_LOCKED, False)


def _holder(place: Folder) -> tuple[int, str] | None:
    """Returns pid and version of the living process, None if there is none."""
    try:
        descriptor = os.open(place.path / PID, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found: list[str] = []

        def told() -> bool:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                return True
            found[:] = os.pread(descriptor, 100, 0).decode().split()
            return len(found) == 2

        # A child that was just started hasn't said its pid yet.
        _poll(told, READY_S)
        return (int(found[0]), found[1]) if len(found) == 2 else None
    finally:
        os.close(descriptor)


def _spawn(place: Folder, version: str) -> None:
    locked = os.open(place.path / PID, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    log = os.open(place.path / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(locked, 0)
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "sandbox.aws.server", str(place.path)],
            _environment(version),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                (os.POSIX_SPAWN_DUP2, locked, _LOCKED),
            ],
            # A session of its own: Ctrl-C in our terminal is not for it.
            setsid=True,
        )
    finally:
        os.close(log)
        os.close(locked)


def _environment(version: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TZ") if name in os.environ}
    return {**kept, _KEY: version, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _version() -> str:
    """Names what would run: another version of it replaces one that runs."""
    modules = (
        each for each in resources.files("sandbox.aws").iterdir() if each.name.endswith(".py")
    )
    sources = [each.read_bytes() for each in sorted(modules, key=lambda each: each.name)]
    content = b"\0".join([*sources, importlib.metadata.version("moto").encode()])
    return hashlib.sha256(content).hexdigest()[:16]


def _did_not_start(place: Folder) -> ControlPlaneError:
    lines = (place.read(LOG) or b"").decode(errors="replace").strip().splitlines()
    return ControlPlaneError(
        f"the ECR control plane did not start: {lines[-1] if lines else 'it said nothing'}",
        hint=f"see {place.path / LOG}, then repeat the command",
    )


def _poll(done: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True
