"""The metrics listener, over HTTP."""

import http.client
import socket

import pytest
from prometheus_client import CollectorRegistry, Counter

from telemetry import exposition


def fetch(port: int, path: str, accept: str = "text/plain") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Accept": accept})
    response = connection.getresponse()
    result = response.status, response.headers["Content-Type"], response.read().decode()
    connection.close()
    return result


@pytest.fixture
def problem() -> dict[str, str]:
    """What is wrong with the process, under the key `is`."""
    return {"is": ""}


@pytest.fixture
def port(problem: dict[str, str]) -> int:
    registry = CollectorRegistry()
    Counter("visits_total", "Visits.", registry=registry).inc(3, {"trace_id": "abc"})
    listener = socket.create_server(("127.0.0.1", 0))
    exposition.serve(listener, registry, lambda: problem["is"])
    port: int = listener.getsockname()[1]
    return port


def test_metrics_are_served(port: int) -> None:
    status, _, body = fetch(port, "/metrics")
    assert status == 200
    assert "visits_total 3.0" in body


def test_exemplars_come_with_openmetrics(port: int) -> None:
    _, content_type, body = fetch(port, "/metrics", "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert '# {trace_id="abc"} 3.0' in body


def test_other_paths_are_not_found(port: int) -> None:
    assert fetch(port, "/")[0] == 404
    assert fetch(port, "/metrics/x")[0] == 404


def test_liveness_names_the_problem(port: int, problem: dict[str, str]) -> None:
    assert fetch(port, "/livez")[::2] == (200, "alive\n")
    problem["is"] = "hung: all threads are taken"
    assert fetch(port, "/livez")[::2] == (503, "hung: all threads are taken\n")
