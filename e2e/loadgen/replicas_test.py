"""Finds the replicas of a real server that gives them turns, fails and resets on request."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from e2e.loadgen.replicas import Answer, find_replicas, get


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.connections.add(self.client_address)
        if self.path == "/reset":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(502 if self.path == "/bad" else 200)
        self.send_header("Content-Length", "0")
        self.send_header("X-Replica", f"app-{next(self.server.turns) % 3}")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
        del format, args


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.connections: set[tuple[str, int]] = set()
        self.turns = itertools.count()
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        serve = {"poll_interval": 0.01}
        threading.Thread(target=server.serve_forever, kwargs=serve, daemon=True).start()
        yield server
        server.shutdown()


def test_replicas_that_answer_are_found(server: _Server) -> None:
    assert find_replicas(server.url, count=3) == {"app-0", "app-1", "app-2"}
    assert find_replicas(server.url, count=4, within_s=0.1) == {"app-0", "app-1", "app-2"}


def test_replicas_that_fail_are_not_found(server: _Server) -> None:
    assert find_replicas(server.url, count=1, path="/bad", within_s=0.1) == frozenset()


@pytest.mark.parametrize(("path", "status"), [("/reset", 0), ("/bad", 502)])
def test_failed_get_is_sent_once(server: _Server, path: str, status: int) -> None:
    assert get(server.url, path).status == status
    assert len(server.connections) == 1


def test_get_without_a_server_is_an_empty_answer() -> None:
    assert get("http://127.0.0.1:9") == Answer()
