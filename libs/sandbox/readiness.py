"""Waits until the containers of a sandbox serve, checked the way their clients use them."""

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
POLL_S = 0.1
REQUEST_TIMEOUT_S = 5.0


class NotReadyError(ShipError):
    """A container of a sandbox runs but does not serve."""


class WaitCancelledError(ShipError):
    """The wait was cancelled because another container failed."""


def await_ready(
    component: str, ready: Callable[[], bool], cancelled: threading.Event, logs: Callable[[], str]
) -> None:
    """Polls until `ready`.

    Raises NotReadyError with the container's last log lines after the deadline, WaitCancelledError once `cancelled`.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not ready():
        if cancelled.wait(POLL_S):
            raise WaitCancelledError(f"stopped waiting for {component}: another container failed")
        if time.monotonic() > deadline:
            raise NotReadyError(
                f"{component} was started but is not ready after {DEADLINE_S:g} s: {logs()}",
                hint="repeat the command; ./ship down removes everything",
            )


def speaks_ssh(port: int) -> bool:
    """Returns whether an SSH server listens on a port."""
    try:
        with socket.create_connection((ADDRESS, port), timeout=REQUEST_TIMEOUT_S) as connection:
            connection.settimeout(REQUEST_TIMEOUT_S)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def requires_password(port: int, ca_file: Path) -> bool:
    """Returns whether a registry with a certificate of the sandbox's CA asks for a password."""
    context = ssl.create_default_context(cafile=str(ca_file))
    connection = http.client.HTTPSConnection(
        ADDRESS, port, timeout=REQUEST_TIMEOUT_S, context=context
    )
    return _status(connection, "/v2/") == 401


def answers_ok(port: int, path: str) -> bool:
    """Returns whether an HTTP server answers with status 200."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=REQUEST_TIMEOUT_S)
    return _status(connection, path) == 200


def _status(connection: http.client.HTTPConnection, path: str) -> int | None:
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
