"""The settings and the worker under the real gunicorn: start, refusals, and the drain."""

import http.client
import os
import signal
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from telemetry.testing import Answer, Server, running, start, wait_until

APP = "telemetry.served_fixture:make_app()"
NOTICE = {"DRAIN_NOTICE_S": "2", "SERVICE": "shop", "RELEASE": "r1"}


def refused(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def in_flight(server: Server) -> bool:
    return "http_requests_in_flight 1.0" in server.metrics()


def worker_pid(server: Server) -> int:
    booted = [line["message"] for line in server.logged() if "with pid: " in line["message"]]
    return int(booted[-1].rpartition(" ")[2])


def test_it_serves_metrics_apart_and_logs_json() -> None:
    with running(APP, NOTICE) as server:
        answer = server.get("/item/7")
        assert (answer.status, answer.headers["X-Release"]) == (200, "r1")
        assert server.get("/metrics").status == 404
        metrics = server.metrics()
        assert 'route="/item/<int:number>"' in metrics
        assert "http_worker_threads 8.0" in metrics
        assert "process_resident_memory_bytes" in metrics
        wait_until(lambda: any(line.get("path") == "/item/7" for line in server.logged()), server)
        assert len(server.logged()) == len(server.lines), server.lines


def test_a_drain_says_so_first_then_finishes_what_it_has(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with running(APP, {**NOTICE, "HELD": str(gate)}) as server, ThreadPoolExecutor() as pool:
        held: Future[Answer] = pool.submit(server.get, "/held")
        wait_until(lambda: in_flight(server), server)

        server.terminate()
        wait_until(lambda: server.get("/readyz").status == 503, server)
        # During the notice: not ready for new connections, and still serving on them.
        not_ready = server.get("/readyz")
        assert not_ready.json() == {"status": "draining", "waiting_for": []}
        assert not_ready.headers["Connection"] == "close"
        assert server.get("/livez").status == 200
        assert server.get("/item/1").status == 200

        # After it: refused at once, which an edge passes on, while the old request still runs.
        wait_until(lambda: refused(server), server)
        assert not held.done()
        assert server.process.poll() is None

        gate.touch()
        assert (held.result().status, held.result().body) == (200, b"let go")
        assert server.wait() == 0


def test_a_kept_connection_is_answered_and_told_to_close() -> None:
    with running(APP, NOTICE) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/item/1")
        first = connection.getresponse()
        first.read()
        assert first.headers["Connection"] == "keep-alive"
        server.terminate()
        wait_until(lambda: server.get("/readyz").status == 503, server)
        connection.request("GET", "/item/2")
        second = connection.getresponse()
        assert (second.status, second.read()) == (200, b"item 2")
        assert second.headers["Connection"] == "close"
        connection.close()
        assert server.wait() == 0


def test_what_the_kernel_has_accepted_is_served() -> None:
    """The worker is stopped while connections queue and the notice runs out."""
    with running(APP, NOTICE) as server, ThreadPoolExecutor(5) as pool:
        pid = worker_pid(server)
        server.terminate()
        wait_until(lambda: server.get("/readyz").status == 503, server)
        os.kill(pid, signal.SIGSTOP)
        waiting = [pool.submit(server.get, f"/item/{number}") for number in range(5)]
        over = time.monotonic() + 2.2
        wait_until(lambda: time.monotonic() > over, server)
        os.kill(pid, signal.SIGCONT)
        assert [each.result().status for each in waiting] == [200] * 5
        assert server.wait() == 0


def test_a_dead_worker_is_replaced_on_the_same_ports() -> None:
    with running(APP, NOTICE) as server:
        before = worker_pid(server)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: worker_pid(server) != before, server)
        wait_until(lambda: server.get("/item/1").status == 200, server)
        wait_until(lambda: "http_worker_threads 8.0" in server.metrics(), server)


def test_one_more_worker_by_signal_is_refused() -> None:
    with running(APP, NOTICE) as server:
        server.process.send_signal(signal.SIGTTIN)
        wait_until(lambda: any("must be 1" in line["message"] for line in server.logged()), server)
        assert server.get("/item/1").status == 200


@pytest.mark.parametrize(
    ("environ", "arguments", "told"),
    [
        ({}, ("--workers", "2"), "workers must be 1, is 2: a second worker would split"),
        ({"WEB_CONCURRENCY": "4"}, (), "workers must be 1, is 4"),
        ({}, ("--preload",), "preload_app must be off"),
        ({}, ("--worker-class", "sync"), "worker_class must be telemetry's"),
        ({"LOG_LEVEL": "loud"}, (), "LOG_LEVEL: should be one of"),
        ({"METRICS_PORT": "x"}, (), "METRICS_PORT: should be a port"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    environ: dict[str, str], arguments: tuple[str, ...], told: str
) -> None:
    server = start(APP, environ, arguments)
    assert server.wait() == 2
    assert any(told in line for line in server.lines), server.lines
    assert not any("Traceback" in line for line in server.lines)


def test_a_taken_metrics_port_is_refused_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start(APP, {"METRICS_PORT": str(port)})
        assert server.wait() == 2
    assert any(f"METRICS_PORT: {port} can't be taken" in line for line in server.lines)


def test_an_app_without_telemetry_is_refused() -> None:
    server = start("telemetry.served_fixture:make_bare_app()", {})
    assert server.wait() == 3
    assert any("call telemetry.instrument(app)" in line for line in server.lines)
