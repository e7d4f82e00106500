"""A port of this machine's loopback that leads to a port of a host's; never opens a connection by itself.

A browser can't speak through an SSH channel, and a candidate answers on the host's loopback alone.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

PIECE = 65536


class Channel(Protocol):
    """As much of an SSH channel as a forward uses."""

    def recv(self, nbytes: int) -> bytes: ...
    def sendall(self, s: bytes) -> None: ...
    def shutdown_write(self) -> None: ...
    def close(self) -> None: ...


@contextmanager
def forwarded(dial: Callable[[], Channel]) -> Iterator[int]:
    """Yields a free port of 127.0.0.1; each connection to it gets a channel of its own from `dial`.

    A connection whose channel can't be opened is closed, as a host does that refuses one.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        threading.Thread(target=_accept, args=(server, dial), daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            # A thread that waits in accept() is woken by this, not by close().
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
        except Exception:  # noqa: BLE001 - whatever it is, the client sees a closed connection
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
