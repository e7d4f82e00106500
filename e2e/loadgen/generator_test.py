"""Runs the load generator against a real server that closes, fails, cuts and stalls on request."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from e2e.loadgen.generator import (
    LoadProfile,
    Stream,
    render_request,
)
from e2e.loadgen.http_client import Connection, NoResponseError
from e2e.loadgen.process import (
    app_and_fixture_streams,
    half_rate,
    measure_capacity,
    running_gets,
    running_load,
)
from e2e.loadgen.record import Record, Row


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._count()
        if self.path in ("/cut", "/reset"):
            if self.path == "/cut":
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if self.path == "/stall":
            self.server.released.wait(5)
        self._answer(502 if self.path == "/bad" else 200, b"ok")
        if self.path == "/once":  # closes without a `Connection: close` header
            self.close_connection = True

    def do_POST(self) -> None:
        self._count()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"another's" if self.path == "/mixed" else body)

    def _count(self) -> None:
        self.server.paths.append(self.path)
        self.server.connections.add(self.client_address)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Release", "r000001-aaaaaaa")
        self.send_header("X-Replica", f"app-{next(self.server.turns) % 3}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name upstream
        del format, args


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.paths: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self.turns = itertools.count()
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        serve = {"poll_interval": 0.01}
        threading.Thread(target=server.serve_forever, kwargs=serve, daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()


def _profile(server: _Server, folder: Path, *streams: Stream) -> LoadProfile:
    streams = streams or app_and_fixture_streams("app", "fixture")
    return LoadProfile(server.url, str(folder / "raw.tsv"), streams, rate=100)


def _record(profile: LoadProfile, rows: int) -> Record:
    with running_load(profile) as load:
        load.await_rows(rows)
    return load.record


def _most_in_flight(rows: tuple[Row, ...]) -> int:
    """Returns an upper bound of how many of these requests were in flight at once."""
    begins = [(row.due, 1) for row in rows]
    ends = [(row.due + row.seconds + 0.002, -1) for row in rows]  # the file has milliseconds
    return max(itertools.accumulate(change for _, change in sorted(begins + ends)), default=0)


def test_every_stream_is_sent_on_fresh_and_on_kept_connections(
    server: _Server, tmp_path: Path
) -> None:
    record = _record(_profile(server, tmp_path), 80)
    assert not record.lost, str(record)
    assert {(row.stream, row.way) for row in record.rows} == {
        (stream.name, way)
        for stream in app_and_fixture_streams("", "")
        for way in ("fresh", "kept")
    }
    assert record.of("app").rows
    assert record.between(record.rows[-1].due).rows


def test_record_counts_by_release_and_replica(server: _Server, tmp_path: Path) -> None:
    record = _record(_profile(server, tmp_path), 80)
    assert set(record.replicas) == {"app-0", "app-1", "app-2"}
    assert set(record.releases) == {"r000001-aaaaaaa"}
    assert record.between(time.time()).rows == ()
    assert 0 < record.percentile(0.5) <= record.percentile(0.99)
    assert str(record).startswith(f"0 of {len(record.rows)} lost")
    assert Record(()).percentile(0.99) == 0


def test_half_of_the_requests_use_a_fresh_connection_and_the_others_share_few(
    server: _Server,
) -> None:
    with running_gets(server.url, rate=200) as load:
        load.await_rows(40)
    record = load.record
    assert not record.lost, str(record)
    assert set(server.paths) == {"/version"}
    fresh, kept = (tuple(row for row in record.rows if row.way == way) for way in ("fresh", "kept"))
    assert abs(len(fresh) - len(kept)) <= 1
    assert len(server.connections) <= len(fresh) + _most_in_flight(kept)


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (Stream("app:bad", "GET", "/bad", "app"), ""),
        (Stream("app:cut", "GET", "/cut", "app"), "closed before the answer was whole"),
        (Stream("app:reset", "GET", "/reset", "app"), "closed before the answer was whole"),
        (Stream("app:mixed", "POST", "/mixed", "app"), "another's answer"),
    ],
)
def test_failed_request_is_lost_and_not_sent_again(
    server: _Server, tmp_path: Path, stream: Stream, error: str
) -> None:
    record = _record(_profile(server, tmp_path, stream), 10)
    assert len(record.lost) == len(record.rows) == len(server.paths)
    assert {row.error for row in record.rows} == {error}


def test_connection_that_the_server_closed_between_requests_is_replaced(
    server: _Server, tmp_path: Path
) -> None:
    record = _record(_profile(server, tmp_path, Stream("app:once", "GET", "/once", "app")), 40)
    assert not record.lost, str(record)


def test_stalled_responses_are_recorded_as_slow_and_do_not_stop_the_schedule(
    server: _Server,
) -> None:
    with running_gets(server.url, "/stall", rate=100) as load:
        deadline = time.monotonic() + 10
        while len(server.paths) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(server.paths) >= 20
        assert load.record.rows == ()  # none has ended
        time.sleep(0.2)
        released = time.time()
        server.released.set()
        load.await_rows(40)
    stalled = load.record.between(0, released - 0.2)
    assert min(row.seconds for row in stalled.rows) > 0.1
    assert len(stalled.rows) >= 20


def test_pausing_and_slow_clients_run_beside_the_schedule(server: _Server, tmp_path: Path) -> None:
    profile = LoadProfile(
        **{**vars(_profile(server, tmp_path)), "slow": 2, "slow_path": "/", "pausing": 8}
    )
    with running_load(profile) as load:
        load.await_rows(30)
        while not any(row.way == "pausing" for row in load.record.rows):
            load.await_rows(len(load.record.rows) + 1)
    assert {row.way for row in load.record.rows} == {"fresh", "kept", "slow", "pausing"}
    assert not load.record.lost, str(load.record)


def test_capacity_is_measured_with_closed_clients(server: _Server, tmp_path: Path) -> None:
    capacity = measure_capacity(_profile(server, tmp_path), seconds=0.2)
    assert half_rate(capacity) == max(50, capacity / 2)


def test_closed_clients_send_the_next_request_when_the_last_is_answered(server: _Server) -> None:
    with running_gets(server.url, "/", closed=2) as load:
        load.await_rows(40)
    assert {row.way for row in load.record.rows} == {"closed"}
    assert len(server.connections) == 2


def test_connection_without_a_server_has_no_response() -> None:
    with pytest.raises(NoResponseError, match="connect"):
        asyncio.run(Connection.connect("127.0.0.1", 9, timeout_s=1))


def test_row_is_read_as_it_was_written(tmp_path: Path) -> None:
    row = Row(1.5, 0.25, "app:/", "fresh", 0, "", "", "ConnectionResetError")
    file = tmp_path / "raw.tsv"
    file.write_text(f"{row.line()}\n{row.line()[:9]}")  # the second is still being written
    assert Record.read(file) == Record((row,))
    assert row.lost
    assert Record.read(tmp_path / "none").rows == ()


def test_post_carries_its_token() -> None:
    text = render_request(Stream("s", "POST", "/", "fixture.test"), "token", close=True).decode()
    assert text.splitlines()[0] == "POST / HTTP/1.1"
    assert "Connection: close" in text
    assert text.endswith("\r\n\r\ntoken")
