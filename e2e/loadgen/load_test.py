"""The load against a real server that closes, fails and stalls on request."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from e2e.loadgen.load import (
    Connection,
    Load,
    Report,
    replicas_seen,
    saturate,
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.connections.add(self.client_address)
        if self.path == "/reset":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if self.path == "/stall":
            self.server.released.wait(5)
        self.send_response(502 if self.path == "/bad" else 200)
        self.send_header("Content-Length", "2")
        self.send_header("X-Release", "r000001-aaaaaaa")
        self.send_header("X-Replica", f"app-{self.server.next_replica()}")
        self.end_headers()
        self.wfile.write(b"ok")
        if self.path == "/once":
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
        del format, args


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.connections: set[tuple[str, int]] = set()
        self.released = threading.Event()
        self._turn = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def next_replica(self) -> int:
        self._turn += 1
        return self._turn % 3


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        yield server
        server.released.set()
        server.shutdown()


def _until(load: Load, count: int) -> Report:
    deadline = time.monotonic() + 10
    while len(load.report.answers) < count and time.monotonic() < deadline:
        time.sleep(0.005)
    return load.report


def test_half_of_the_requests_use_a_fresh_connection(server: _Server) -> None:
    with Load(server.url, rate=200, workers=2) as load:
        _until(load, 40)
    report = load.report
    assert not report.lost
    assert {answer.fresh for answer in report.answers} == {True, False}
    assert (
        len(server.connections) <= len(report.answers) // 2 + 1 + 2
    )  # the fresh ones, and one a worker


def test_what_fails_is_lost_and_never_sent_again(server: _Server) -> None:
    for path in ("/reset", "/bad"):
        server.connections.clear()
        answer = Connection(server.url).get(path, time.monotonic(), fresh=True)
        assert answer.lost
        assert len(server.connections) == 1
    assert Connection("http://127.0.0.1:9").get("/", time.monotonic(), fresh=True).lost


def test_a_connection_that_the_server_closed_in_time_is_opened_anew(server: _Server) -> None:
    connection = Connection(server.url)
    assert connection.get("/once", time.monotonic(), fresh=False).status == 200
    deadline = time.monotonic() + 5
    while connection._kept and connection._kept.sock and time.monotonic() < deadline:
        connection._keep()
    assert connection.get("/", time.monotonic(), fresh=False).status == 200
    connection.close()


def test_a_stalled_answer_makes_the_others_late_and_shows_in_the_times(server: _Server) -> None:
    with Load(server.url, "/stall", rate=100, workers=1) as load:
        time.sleep(0.3)  # the schedule goes on while the only worker waits
        server.released.set()
        _until(load, 20)
    assert max(answer.seconds for answer in load.report.answers[1:]) > 0.1


def test_the_report_counts_by_release_and_replica(server: _Server) -> None:
    report = saturate(server.url, "/", seconds=0.2, workers=2)
    assert set(report.replicas) == {"app-0", "app-1", "app-2"}
    assert set(report.releases) == {"r000001-aaaaaaa"}
    assert report.since(time.monotonic()).answers == ()
    assert 0 < report.percentile(0.5) <= report.percentile(0.99)
    assert str(report).startswith(f"0 of {len(report.answers)} lost")
    assert Report(()).percentile(0.99) == 0


def test_replicas_are_those_that_answered(server: _Server) -> None:
    assert replicas_seen(server.url, wanted=3) == {"app-0", "app-1", "app-2"}
    assert replicas_seen(server.url, wanted=4, within_s=0.1) == {"app-0", "app-1", "app-2"}
