"""Forwards a port of this machine's loopback to a port of a host's loopback.

Browsers need it to reach a candidate, which listens on the host's loopback only.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

PIECE = 65536


class Channel(Protocol):
    """The part of an SSH channel's interface that a forward uses."""

    def recv(self, nbytes: int) -> bytes: ...
    def sendall(self, s: bytes) -> None: ...
    def shutdown_write(self) -> None: ...
    def close(self) -> None: ...


@contextmanager
def forwarded(dial: Callable[[], Channel]) -> Iterator[int]:
    """Yields a free port of 127.0.0.1. Each connection to it gets its own channel from `dial`.

    If the channel can't be opened, the connection is closed, as if the host had refused it.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        threading.Thread(target=_accept, args=(server, dial), daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            # Unlike close(), this wakes the thread that waits in accept().
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, dial: Callable[[], Channel]) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, dial), daemon=True).start()


def _serve(client: socket.socket, dial: Callable[[], Channel]) -> None:
    with client:
        try:
            channel = dial()
        except Exception:  # noqa: BLE001 - whatever failed, the client gets a closed connection
            return
        try:
            sending = threading.Thread(target=_send, args=(client, channel), daemon=True)
            sending.start()
            with suppress(OSError, EOFError):
                while piece := channel.recv(PIECE):
                    client.sendall(piece)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            sending.join()
        finally:
            with suppress(OSError, EOFError):
                channel.close()


def _send(client: socket.socket, channel: Channel) -> None:
    with suppress(OSError, EOFError):
        while piece := client.recv(PIECE):
            channel.sendall(piece)
        channel.shutdown_write()
