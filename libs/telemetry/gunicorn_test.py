"""gunicorn settings and worker, under the real gunicorn: start, refused configurations, drain."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from telemetry.testing import (
    GunicornServer,
    HttpResponse,
    importable_environ,
    running,
    start,
    wait_until,
)

APP = "telemetry.served_fixture:make_app()"
THREADS = 8
NOTICE = {"DRAIN_NOTICE_S": "2", "SERVICE": "shop", "RELEASE": "r1"}


def refused(server: GunicornServer) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def in_flight(server: GunicornServer) -> bool:
    return "http_requests_in_flight 1.0" in server.metrics()


def worker_pid(server: GunicornServer) -> int:
    booted = [line["message"] for line in server.log_lines() if "with pid: " in line["message"]]
    return int(booted[-1].rpartition(" ")[2])


def test_metrics_have_their_own_port_and_logs_are_json() -> None:
    with running(APP, NOTICE) as server:
        answer = server.get("/item/7")
        assert (answer.status, answer.headers["X-Release"]) == (200, "r1")
        assert server.get("/metrics").status == 404
        metrics = server.metrics()
        assert 'route="/item/<int:number>"' in metrics
        assert "http_worker_threads 8.0" in metrics
        assert "process_resident_memory_bytes" in metrics
        wait_until(
            lambda: any(line.get("path") == "/item/7" for line in server.log_lines()), server
        )
        assert len(server.log_lines()) == len(server.lines), server.lines


def test_the_garbage_collector_is_on_and_skips_what_the_start_created() -> None:
    with running(APP, NOTICE) as server:
        collector = server.get("/collector").json()
    assert collector["enabled"] is True
    assert collector["frozen"] > 10_000


def test_the_parent_imports_nothing_that_only_the_worker_needs() -> None:
    """Both processes would pay for it: the worker copies most of the parent's pages as soon as it runs."""
    program = (
        "import json, sys, gunicorn.app.wsgiapp, telemetry.gunicorn_conf\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env=importable_environ(),
        capture_output=True,
        check=True,
        text=True,
    )
    modules = set(json.loads(answer.stdout))
    packages = {"flask", "http.server", "jinja2", "opentelemetry", "prometheus_client", "werkzeug"}
    assert "telemetry.worker" in modules
    assert modules & packages == set()
    assert len(modules) < 250


def test_a_drain_turns_unready_then_refuses_connections_then_finishes_requests(
    tmp_path: Path,
) -> None:
    answer_now = tmp_path / "answer-now"
    with (
        running(APP, {**NOTICE, "ANSWER_WHEN": str(answer_now)}) as server,
        ThreadPoolExecutor() as pool,
    ):
        slow: Future[HttpResponse] = pool.submit(server.get, "/slow")
        wait_until(lambda: in_flight(server), server)

        server.terminate()
        wait_until(lambda: server.get("/readyz").status == 503, server)
        # During DRAIN_NOTICE_S the server is unready, but still accepts and serves new connections.
        not_ready = server.get("/readyz")
        assert not_ready.json() == {"status": "draining", "waiting_for": []}
        assert not_ready.headers["Connection"] == "close"
        assert server.get("/livez").status == 200
        assert server.get("/item/1").status == 200

        # Then it refuses new connections, which the edge retries elsewhere, while the old request runs.
        wait_until(lambda: refused(server), server)
        assert not slow.done()
        assert server.process.poll() is None

        answer_now.touch()
        assert (slow.result().status, slow.result().body) == (200, b"done")
        assert server.wait() == 0


def test_a_kept_alive_connection_gets_its_answer_and_is_closed() -> None:
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


def test_connections_in_the_accept_queue_are_served() -> None:
    """Connections queue while the worker is suspended beyond DRAIN_NOTICE_S."""
    with running(APP, NOTICE) as server, ThreadPoolExecutor(5) as pool:
        pid = worker_pid(server)
        server.terminate()
        wait_until(lambda: server.get("/readyz").status == 503, server)
        os.kill(pid, signal.SIGSTOP)
        waiting = [pool.submit(server.get, f"/item/{number}") for number in range(5)]
        notice_over = time.monotonic() + 2.2
        wait_until(lambda: time.monotonic() > notice_over, server)
        os.kill(pid, signal.SIGCONT)
        assert [future.result().status for future in waiting] == [200] * 5
        assert server.wait() == 0


def test_a_worker_whose_threads_all_wait_is_hung_until_one_goes_on(tmp_path: Path) -> None:
    answer_now = tmp_path / "answer-now"
    environ = {**NOTICE, "HUNG_AFTER_S": "1", "ANSWER_WHEN": str(answer_now)}
    with running(APP, environ) as server, ThreadPoolExecutor(THREADS) as pool:
        slow = [pool.submit(server.get, "/slow") for _ in range(THREADS)]
        wait_until(lambda: server.liveness().status == 503, server)
        assert b"hung: all 8 threads are taken" in server.liveness().body
        answer_now.touch()
        assert {future.result().status for future in slow} == {200}
        assert server.liveness().status == 200


def test_a_worker_whose_threads_all_serve_streams_is_busy_and_lives(tmp_path: Path) -> None:
    end = tmp_path / "end"
    environ = {**NOTICE, "HUNG_AFTER_S": "1", "ANSWER_WHEN": str(end)}
    with running(APP, environ) as server, ThreadPoolExecutor(THREADS) as pool:
        streams = [pool.submit(server.get, "/stream") for _ in range(THREADS)]
        wait_until(lambda: "http_worker_threads_busy 8.0" in server.metrics(), server)
        silent_too_long = time.monotonic() + 2.5
        while time.monotonic() < silent_too_long:
            assert server.liveness().status == 200
            time.sleep(0.1)
        end.touch()
        assert {future.result().status for future in streams} == {200}


def test_a_dead_worker_is_replaced_on_the_same_ports() -> None:
    with running(APP, NOTICE) as server:
        before = worker_pid(server)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: worker_pid(server) != before, server)
        wait_until(lambda: server.get("/item/1").status == 200, server)
        wait_until(lambda: "http_worker_threads 8.0" in server.metrics(), server)


def test_sigttin_starts_no_second_worker() -> None:
    with running(APP, NOTICE) as server:
        server.process.send_signal(signal.SIGTTIN)
        wait_until(
            lambda: any("must be 1" in line["message"] for line in server.log_lines()), server
        )
        assert server.get("/item/1").status == 200


@pytest.mark.parametrize(
    ("environ", "arguments", "message"),
    [
        ({}, ("--workers", "2"), "workers must be 1, is 2: a second worker would split"),
        ({"WEB_CONCURRENCY": "4"}, (), "workers must be 1, is 4"),
        ({}, ("--preload",), "preload_app must be off"),
        ({}, ("--worker-class", "sync"), "worker_class must be telemetry's"),
        ({"LOG_LEVEL": "loud"}, (), "LOG_LEVEL: should be one of"),
        ({"METRICS_PORT": "x"}, (), "METRICS_PORT: should be a port"),
        ({"HUNG_AFTER_S": "0"}, (), "HUNG_AFTER_S: should be 1 to 86400 seconds"),
    ],
)
def test_an_unusable_configuration_is_refused_without_a_traceback(
    environ: dict[str, str], arguments: tuple[str, ...], message: str
) -> None:
    server = start(APP, environ, arguments)
    assert server.wait() == 2
    assert any(message in line for line in server.lines), server.lines
    assert not any("Traceback" in line for line in server.lines)


def test_a_metrics_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start(APP, {"METRICS_PORT": str(port)})
        assert server.wait() == 2
    assert any(f"METRICS_PORT: can't listen on {port}" in line for line in server.lines)


def test_an_app_without_telemetry_is_refused() -> None:
    server = start("telemetry.served_fixture:make_bare_app()", {})
    assert server.wait() == 3
    assert any("call telemetry.instrument(app)" in line for line in server.lines)
