"""The load program against a real server that closes, fails and cuts on request."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from e2e.loadgen.generator import (
    Plan,
    Stream,
    request,
)
from e2e.loadgen.http_client import LostError, Wire
from e2e.loadgen.process import (
    half_of,
    running,
    saturated,
    streams_of,
)
from e2e.loadgen.record import Record, Row


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self._answer(502 if self.path == "/bad" else 200, b"ok")
        if self.path == "/once":  # closes without having said so
            self.close_connection = True

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"another's" if self.path == "/mixed" else body)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Release", "r000001-aaaaaaa")
        self.send_header("X-Replica", "app-1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
        del format, args


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        serve = {"poll_interval": 0.01}
        threading.Thread(target=server.serve_forever, kwargs=serve, daemon=True).start()
        yield server
        server.shutdown()


def _plan(server: _Server, folder: Path, *streams: Stream) -> Plan:
    url = f"http://127.0.0.1:{server.server_port}"
    return Plan(url, str(folder / "raw.tsv"), streams or streams_of("app", "fixture"), rate=100)


def _record(plan: Plan, rows: int) -> Record:
    with running(plan) as load:
        load.await_rows(rows)
    return load.record


def test_every_stream_has_its_turn_fresh_and_kept(server: _Server, tmp_path: Path) -> None:
    record = _record(_plan(server, tmp_path), 80)
    assert not record.lost, str(record)
    assert {(row.stream, row.way) for row in record.rows} == {
        (stream.name, way) for stream in streams_of("", "") for way in ("fresh", "kept")
    }
    assert set(record.releases) == {"r000001-aaaaaaa"}
    assert record.of("app").rows
    assert record.between(record.rows[-1].due).rows
    assert 0 < record.percentile(0.5) <= record.percentile(0.99)
    assert str(record).startswith(f"0 of {len(record.rows)} lost")


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (Stream("app:bad", "GET", "/bad", "app"), ""),
        (Stream("app:cut", "GET", "/cut", "app"), "closed before the answer was whole"),
        (Stream("app:mixed", "POST", "/mixed", "app"), "another's answer"),
    ],
)
def test_what_fails_is_lost_and_never_sent_again(
    server: _Server, tmp_path: Path, stream: Stream, error: str
) -> None:
    record = _record(_plan(server, tmp_path, stream), 10)
    assert len(record.lost) == len(record.rows) == len(server.asked)
    assert {row.error for row in record.rows} == {error}


def test_a_connection_that_was_closed_in_time_is_opened_anew(
    server: _Server, tmp_path: Path
) -> None:
    record = _record(_plan(server, tmp_path, Stream("app:once", "GET", "/once", "app")), 40)
    assert not record.lost, str(record)


def test_pausing_and_slow_clients_go_on_beside_the_schedule(
    server: _Server, tmp_path: Path
) -> None:
    plan = Plan(**{**vars(_plan(server, tmp_path)), "slow": 2, "slow_path": "/", "pausing": 8})
    with running(plan) as load:
        load.await_rows(30)
        while not any(row.way == "pausing" for row in load.record.rows):
            load.await_rows(len(load.record.rows) + 1)
    assert {row.way for row in load.record.rows} == {"fresh", "kept", "slow", "pausing"}
    assert not load.record.lost, str(load.record)


def test_what_quiet_replicas_serve_is_measured(server: _Server, tmp_path: Path) -> None:
    rate = saturated(_plan(server, tmp_path), seconds=0.2)
    assert half_of(rate) == max(50, rate / 2)


def test_nobody_there_is_a_loss() -> None:
    with pytest.raises(LostError, match="connect"):
        asyncio.run(Wire.connect("127.0.0.1", 9, timeout_s=1))


def test_a_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    row = Row(1.5, 0.25, "app:/", "fresh", 0, "", "", "ConnectionResetError")
    file = tmp_path / "raw.tsv"
    file.write_text(f"{row.line()}\n{row.line()[:9]}")  # the second is still being written
    assert Record.read(file) == Record((row,))
    assert row.lost
    assert Record.read(tmp_path / "none").rows == ()


def test_a_post_carries_its_token() -> None:
    text = request(Stream("s", "POST", "/", "fixture.test"), "token", close=True).decode()
    assert text.splitlines()[0] == "POST / HTTP/1.1"
    assert "Connection: close" in text
    assert text.endswith("\r\n\r\ntoken")
