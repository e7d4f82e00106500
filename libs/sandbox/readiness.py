"""Waits until each part of a sandbox does its work, asked as its users would ask; never changes anything."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

from deploy.errors import ShipError
from sandbox.ports import ADDRESS

DEADLINE_S = 60.0
PAUSE_S = 0.1
ASK_S = 5.0


class NotReadyError(ShipError):
    """A part of a sandbox runs but does not do its work."""


class InterruptedWaitError(ShipError):
    """The wait was given up since something else failed."""


def await_ready(
    part: str, ready: Callable[[], bool], given_up: threading.Event, last_words: Callable[[], str]
) -> None:
    """Polls until `ready`. Raises NotReadyError with the part's last words after the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not ready():
        if given_up.wait(PAUSE_S):
            raise InterruptedWaitError(f"{part} was not waited for any longer")
        if time.monotonic() > deadline:
            raise NotReadyError(
                f"{part} was started but is not ready after {DEADLINE_S:g} s: {last_words()}",
                hint="repeat the command; ./ship down removes everything",
            )


def speaks_ssh(port: int) -> bool:
    """Returns whether an SSH server greets on a port."""
    try:
        with socket.create_connection((ADDRESS, port), timeout=ASK_S) as connection:
            connection.settimeout(ASK_S)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def asks_for_password(port: int, authority: Path) -> bool:
    """Returns whether a registry with our certificate asks who we are."""
    context = ssl.create_default_context(cafile=str(authority))
    return (
        _status(http.client.HTTPSConnection(ADDRESS, port, timeout=ASK_S, context=context), "/v2/")
        == 401
    )


def answers(port: int, path: str) -> bool:
    """Returns whether an HTTP server says 200."""
    return _status(http.client.HTTPConnection(ADDRESS, port, timeout=ASK_S), path) == 200


def _status(connection: http.client.HTTPConnection, path: str) -> int:
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
