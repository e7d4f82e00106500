"""Input and output of one SSH channel: bytes, lines, an HTTP request."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import paramiko

from deploy.core.ports import Answer

END_S = 10.0
"""How long to wait for a command's end or an answer that is due."""


class _ChannelSocket:
    """The part of a socket's interface that http.client uses.

    http.client closes its socket before it has read the body from the file that it made of the socket. A closed
    paramiko channel drops what has not arrived yet, so `close` does nothing.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        self.sendall = channel.sendall
        self.makefile = channel.makefile

    def close(self) -> None:
        """Does nothing: the code that opened the channel closes it."""


def get(
    channel: paramiko.Channel, address: str, port: int, path: str, headers: Mapping[str, str]
) -> Answer:
    """Sends a GET through a channel to a port of an address. Raises OSError, EOFError, HTTPException."""
    connection = http.client.HTTPConnection(address, port)
    channel.settimeout(END_S)
    connection.sock = _ChannelSocket(channel)
    connection.request("GET", path, headers={"Connection": "close", **headers})
    response = connection.getresponse()
    fields = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, response.read(), fields)


def both_outputs(channel: paramiko.Channel, stdin: bytes) -> tuple[bytes, bytes]:
    """Sends stdin and returns all of stdout and stderr.

    Both are read at the same time: they share one window, so an unread one would block the other.
    """
    stderr: list[bytes] = []
    drain = start_thread(lambda: _drain(channel, stderr))
    start_thread(lambda: _send(channel, stdin))
    stdout = read_all(channel.recv)
    drain.join(END_S)
    return stdout, b"".join(stderr)


def read_all(receive: Callable[[int], bytes]) -> bytes:
    """Reads until the end of the stream."""
    parts: list[bytes] = []
    while part := receive(65536):
        parts.append(part)
    return b"".join(parts)


def lines(channel: paramiko.Channel) -> Iterator[str]:
    """Yields lines as they arrive, without line ends."""
    rest = b""
    while part := channel.recv(65536):
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def end_stdin(channel: paramiko.Channel) -> None:
    """Ends a command by closing its stdin, and waits up to `END_S` for its end."""
    with suppress(OSError, EOFError):
        channel.shutdown_write()
    channel.status_event.wait(END_S)


def close(channel: paramiko.Channel) -> None:
    """Closes the channel. Errors are ignored: on a lost connection they would hide the error that reports the loss."""
    with suppress(OSError, EOFError):
        channel.close()


def start_thread(work: Callable[[], None]) -> threading.Thread:
    """Starts a daemon thread."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _send(channel: paramiko.Channel, content: bytes) -> None:
    # A command may end without reading its stdin; its exit code shows whether that was a failure.
    with suppress(OSError, EOFError):
        channel.sendall(content)
        channel.shutdown_write()


def _drain(channel: paramiko.Channel, into: list[bytes]) -> None:
    # The thread that reads stdout gets the same error and reports it.
    with suppress(OSError, EOFError):
        into.append(read_all(channel.recv_stderr))
