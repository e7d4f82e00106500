"""A TCP relay between a deployer and a host's sshd. A test can cut or freeze it."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from types import TracebackType
from typing import Self

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Relay:
    """Listens on `port` of the loopback interface and relays to `target` while the context lives."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._changing = threading.Lock()
        self._frozen = threading.Event()
        self._ended = threading.Event()
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Resets every connection and stops listening."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Resets every open connection on both sides. New connections are relayed; a freeze ends."""
        with self._changing:
            pairs, self._pairs = self._pairs, []
        self._frozen.clear()
        for end in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def freeze(self) -> None:
        """Passes no more data on and closes nothing, as if the machine had vanished. Ends with `cut`."""
        self._frozen.set()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._changing:
                self._pairs.append((near, far))
            threading.Thread(target=self._pass_on, args=(near, far), daemon=True).start()

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed by a cut
            while not self._ended.is_set():
                if self._frozen.wait(0):
                    self._ended.wait(0.05)
                    if near.fileno() < 0:
                        return
                    continue
                for ready in select.select([near, far], [], [], 0.2)[0]:
                    if self._frozen.is_set():
                        break
                    data = ready.recv(1 << 16)
                    if not data:
                        raise ConnectionError  # one side closed, so the other is closed as well
                    other[ready].sendall(data)
        near.close()
        far.close()
