"""Ends the daemon that Pants leaves behind for a checkout. It takes about 430 MB of memory."""

from __future__ import annotations

import time
from enum import Enum, auto
from pathlib import Path

PID_FILES = ".pids/*/pantsd/pid"
END_TIMEOUT_S = 20.0
POLL_S = 0.1


class PantsDaemon(Enum):
    """What became of a checkout's daemon."""

    NONE = auto()  # there was none
    ENDED = auto()
    BUSY = auto()  # it serves a build, and ends after it


def end_pants_daemon(checkout: Path, *, timeout_s: float = END_TIMEOUT_S) -> PantsDaemon:
    """Asks the daemon to end, by removing its pid file, and waits for it.

    Pants then accepts no new call and finishes those that run, so no build is interrupted.
    """
    pids = []
    for file in checkout.glob(PID_FILES):
        if pid := _daemon(file, checkout):
            pids.append(pid)
            file.unlink(missing_ok=True)
    if not pids:
        return PantsDaemon.NONE
    deadline = time.monotonic() + timeout_s
    while any(_runs(pid, checkout) for pid in pids):
        if time.monotonic() > deadline:
            return PantsDaemon.BUSY
        time.sleep(POLL_S)
    return PantsDaemon.ENDED


def _daemon(pid_file: Path, checkout: Path) -> int | None:
    """Returns the process in a pid file, None unless it is this checkout's daemon."""
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return None
    return pid if _runs(pid, checkout) else None


def _runs(pid: int, checkout: Path) -> bool:
    """Returns whether a process is a daemon of the checkout. A zombie has no command line."""
    process = Path(f"/proc/{pid}")
    try:
        named = process.joinpath("cmdline").read_bytes().startswith(b"pantsd [")
        return named and process.joinpath("cwd").resolve() == checkout.resolve()
    except OSError:
        return False
