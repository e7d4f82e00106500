"""Limits on what a peer may send: a deadline for the whole answer, and a size.

A socket's timeout counts from one byte to the next, so a peer that sends a byte every two seconds never exceeds it.
"""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Buffer, Callable, Mapping
from contextlib import suppress
from typing import Protocol

from deploy.core.ports import Answer

MAX_BYTES = 64 * 1024 * 1024
"""The most bytes of one output or answer. The largest that occurs, a host's whole ledger, has a few megabytes."""

MAX_LINE = 1024 * 1024
"""The most bytes of one streamed line; a longer one arrives in pieces."""


class TooMuchError(OSError):
    """A peer sent more than MAX_BYTES."""

    def __init__(self) -> None:
        super().__init__(f"it sent more than {MAX_BYTES // 2**20} MB")


class Receiver(Protocol):
    """A socket or an SSH channel."""

    def settimeout(self, timeout: float | None, /) -> None:
        """Limits each following call of `recv`, in seconds."""
        ...

    def recv(self, size: int, /) -> bytes:
        """Returns the next bytes, none at the end. Raises TimeoutError."""
        ...

    def sendall(self, content: bytes, /) -> object:
        """Sends all bytes. Raises TimeoutError."""
        ...


def read_all(
    receive: Callable[[int], bytes], limit: Callable[[float], None], deadline: float
) -> bytes:
    """Reads until the end of the stream. `limit` sets the seconds that the next `receive` may take.

    `deadline` is a time of the monotonic clock. Raises TimeoutError after it, and TooMuchError.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        limit(left_s(deadline))
        if not (part := receive(65536)):
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise TooMuchError


def left_s(deadline: float) -> float:
    """Returns the seconds until a deadline. Raises TimeoutError if there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _LimitedReader(io.RawIOBase):
    """The bytes of one answer. Reading raises TimeoutError after the deadline, and TooMuchError."""

    def __init__(self, receiver: Receiver, deadline: float) -> None:
        super().__init__()
        self._receiver = receiver
        self._deadline = deadline
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        self._receiver.settimeout(left_s(self._deadline))
        part = self._receiver.recv(len(view))
        view[: len(part)] = part
        self._size += len(part)
        if self._size > MAX_BYTES:
            raise TooMuchError
        return len(part)


class _LimitedSocket:
    """The part of a socket's interface that http.client uses.

    http.client closes its socket before it has read the body from the file that it made of the socket, and a closed SSH
    channel drops what has not arrived yet. So `close` does nothing.
    """

    def __init__(self, receiver: Receiver, deadline: float) -> None:
        self._receiver = receiver
        self._deadline = deadline

    def sendall(self, content: bytes) -> None:
        self._receiver.settimeout(left_s(self._deadline))
        self._receiver.sendall(content)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_LimitedReader(self._receiver, self._deadline))

    def close(self) -> None:
        pass


def get(
    connection: http.client.HTTPConnection,
    target: str,
    headers: Mapping[str, str],
    timeout_s: float,
) -> Answer:
    """Sends a GET over a connection, returns the whole answer with header names in lower case, and closes it.

    A connection without a socket is opened first. Raises TimeoutError if there is no whole answer within `timeout_s`,
    TooMuchError, another OSError or HTTPException; from an SSH channel EOFError.
    """
    deadline = time.monotonic() + timeout_s
    if connection.sock is None:
        connection.connect()
    sock = connection.sock
    connection.sock = _LimitedSocket(sock, deadline)
    try:
        connection.request("GET", target, headers={"Connection": "close", **headers})
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, response.read(), fields)
    finally:
        # An error here would hide the one that reports the loss of the connection.
        with suppress(OSError, EOFError):
            sock.close()
