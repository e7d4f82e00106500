"""What goes over one SSH channel: bytes, lines, an HTTP request; never opens one, never names a host."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import paramiko

from deploy.core.ports import Answer

END_S = 10.0
"""What an end may take to reach us once it is due."""


class _Tunnel:
    """As much of a socket as http.client uses.

    http.client closes its socket while the body is still to be read and relies on the file that it
    made of it; a paramiko channel that is closed drops what has not arrived yet. So closing waits.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        self.sendall = channel.sendall
        self.makefile = channel.makefile

    def close(self) -> None:
        """Does nothing: whoever opened the channel closes it."""


def get(channel: paramiko.Channel, port: int, path: str, headers: Mapping[str, str]) -> Answer:
    """GETs through a channel that leads to a port. Raises OSError, EOFError, HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    channel.settimeout(END_S)
    connection.sock = _Tunnel(channel)
    connection.request("GET", path, headers={"Connection": "close", **headers})
    response = connection.getresponse()
    fields = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, response.read(), fields)


def both_outputs(channel: paramiko.Channel, stdin: bytes) -> tuple[bytes, bytes]:
    """Sends stdin and returns all of stdout and stderr, which share one window: neither may wait for the other."""
    stderr: list[bytes] = []
    drain = start_thread(lambda: _drain(channel, stderr))
    start_thread(lambda: _send(channel, stdin))
    stdout = read_all(channel.recv)
    drain.join(END_S)
    return stdout, b"".join(stderr)


def read_all(receive: Callable[[int], bytes]) -> bytes:
    """Reads until the other side ends."""
    parts: list[bytes] = []
    while part := receive(65536):
        parts.append(part)
    return b"".join(parts)


def lines(channel: paramiko.Channel) -> Iterator[str]:
    """Yields lines as they come, without their ends."""
    rest = b""
    while part := channel.recv(65536):
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def end_stdin(channel: paramiko.Channel) -> None:
    """Tells a command to end and waits until it did, within bounds."""
    with suppress(OSError, EOFError):
        channel.shutdown_write()
    channel.status_event.wait(END_S)


def close(channel: paramiko.Channel) -> None:
    """Closes it. On a lost connection that raises too, and would hide the error that says so."""
    with suppress(OSError, EOFError):
        channel.close()


def start_thread(work: Callable[[], None]) -> threading.Thread:
    """Starts a thread that keeps no process alive."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _send(channel: paramiko.Channel, content: bytes) -> None:
    # A command may end without reading its stdin; its exit code tells whether that was right.
    with suppress(OSError, EOFError):
        channel.sendall(content)
        channel.shutdown_write()


def _drain(channel: paramiko.Channel, into: list[bytes]) -> None:
    # The other thread meets the same timeout or loss and reports it.
    with suppress(OSError, EOFError):
        into.append(read_all(channel.recv_stderr))
