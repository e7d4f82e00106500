"""Input and output of one SSH channel: bytes, lines, an HTTP request."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import paramiko

from deploy.adapters import limits
from deploy.adapters.limits import MAX_LINE, TooMuchError
from deploy.core.ports import Answer

END_S = 10.0
"""How long to wait for a command's end or an answer that is due."""


def get(
    channel: paramiko.Channel, address: str, port: int, path: str, headers: Mapping[str, str]
) -> Answer:
    """Sends a GET through a channel to a port of an address. Raises OSError, EOFError, HTTPException."""
    connection = http.client.HTTPConnection(address, port)
    connection.sock = channel
    return limits.get(connection, path, headers, END_S)


def both_outputs(channel: paramiko.Channel, stdin: bytes, deadline: float) -> tuple[bytes, bytes]:
    """Sends stdin and returns all of stdout and stderr, at the latest at `deadline` on the monotonic clock.

    Both are read at the same time: they share one window, so an unread one would block the other. Raises TimeoutError
    and TooMuchError.
    """
    stderr: list[bytes] = []
    failures: list[OSError] = []

    def drain() -> None:
        try:
            stderr.append(read_all(channel, channel.recv_stderr, deadline))
        except (OSError, EOFError) as error:
            # The thread that reads stdout gets the same error and reports it, unless only stderr exceeds a limit.
            if isinstance(error, TooMuchError):
                failures.append(error)
                close(channel)

    draining = start_thread(drain)
    start_thread(lambda: _send(channel, stdin))
    stdout = read_all(channel, channel.recv, deadline)
    draining.join(END_S)
    if failures:
        raise failures[0]
    return stdout, b"".join(stderr)


def read_all(channel: paramiko.Channel, receive: Callable[[int], bytes], deadline: float) -> bytes:
    """Reads one of a channel's outputs to its end. Raises TimeoutError after `deadline`, and TooMuchError."""
    return limits.read_all(receive, channel.settimeout, deadline)


def lines(channel: paramiko.Channel) -> Iterator[str]:
    """Yields lines as they arrive, without line ends; one longer than MAX_LINE in pieces."""
    rest = b""
    while part := channel.recv(65536):
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
        if len(rest) > MAX_LINE:
            yield rest.decode(errors="replace")
            rest = b""
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
