"""Tests of answers that arrive a byte at a time, never end, or are too large."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from deploy.adapters import limits
from deploy.adapters.limits import TooMuchError
from deploy.adapters.probe import HttpProbe


class Peer:
    """A server that sends the same bytes again and again to whoever connects, with a pause between."""

    def __init__(self, begin: bytes, again: bytes, pause_s: float) -> None:
        self._sent = (begin, again, pause_s)
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        begin, again, pause_s = self._sent
        try:
            sock, _ = self._listener.accept()
            with sock:
                sock.sendall(begin)
                while not self._closed.wait(pause_s):
                    sock.sendall(again)
        except OSError:
            return


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    made: list[Peer] = []
    yield made
    for peer in made:
        peer.close()


@pytest.mark.parametrize(
    "begin", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["in the header", "in the body"]
)
def test_an_answer_of_single_bytes_ends_at_the_deadline(peers: list[Peer], begin: bytes) -> None:
    peers.append(Peer(begin, b"x", 0.01))
    answer = HttpProbe().get(f"http://127.0.0.1:{peers[0].port}/", timeout_s=0.5)
    assert (answer.status, answer.body) == (0, b"timed out")


def test_an_answer_without_end_is_given_up(
    peers: list[Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_BYTES", 2**20)
    peers.append(Peer(b"HTTP/1.1 200 OK\r\n\r\n", bytes(2**16), 0.0))
    connection = http.client.HTTPConnection("127.0.0.1", peers[0].port)
    with pytest.raises(TooMuchError, match="it sent more than 1 MB"):
        limits.get(connection, "/", {}, 60.0)
