"""The Prometheus adapter against a real HTTP server."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.adapters.prometheus import Prometheus
from deploy.core.ports import MetricsQuery
from deploy.errors import MetricsError
from deploy.testing.servers.http_server import QuietHandler, http_server
from deploy.testing.servers.prometheus import MemoryMetrics, prometheus_server


@contextmanager
def serving(status: int, body: bytes) -> Iterator[str]:
    """Answers every request the same way."""

    class Handler(QuietHandler):
        def respond(self) -> None:
            self.reply(status, body)

    with http_server(Handler) as server:
        yield server.url


def test_query_returns_labels_and_values() -> None:
    table = MemoryMetrics()
    promql = 'up{service="app"} + 0 > 0'
    table.answer(promql, [({"replica": "app-1"}, 1.0), ({"replica": "app-2"}, 0.25)])
    as_port: MetricsQuery = table
    with prometheus_server(table) as url:
        assert Prometheus(f"{url}/").query(promql) == as_port.query(promql)


def test_no_matching_series_is_an_error() -> None:
    with (
        prometheus_server(MemoryMetrics()) as url,
        pytest.raises(MetricsError, match="no series matches"),
    ):
        Prometheus(url).query("nothing")


def test_scalar_is_one_series_without_labels() -> None:
    body = {"status": "success", "data": {"resultType": "scalar", "result": [0, "5"]}}
    with serving(200, json.dumps(body).encode()) as url:
        assert Prometheus(url).query("5") == [({}, 5.0)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_value_that_is_not_finite_is_an_error(value: float) -> None:
    table = MemoryMetrics()
    table.answer("a / b", [({}, 1.0), ({}, value)])
    with prometheus_server(table) as url, pytest.raises(MetricsError, match="which is no data"):
        Prometheus(url).query("a / b")


def test_a_refused_query_reports_the_reason() -> None:
    table = MemoryMetrics()
    table.broken = "parse error: unexpected end of input"
    with prometheus_server(table) as url, pytest.raises(MetricsError, match="unexpected end") as e:
        Prometheus(url).query("sum(")
    assert "`sum(`" in str(e.value)
    assert f"{url}/api/v1/targets" in e.value.hint


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"oops", "status 500"),
        (200, b"<html>", "the answer is not from Prometheus"),
        (200, b"[]", "the answer is not from Prometheus"),
        (200, b'{"data": []}', "the answer is not from Prometheus"),
        (200, b'{"data": {"resultType": "matrix", "result": [[]]}}', "is a matrix"),
    ],
)
def test_unexpected_answers_are_errors(status: int, body: bytes, reason: str) -> None:
    with serving(status, body) as url, pytest.raises(MetricsError, match=reason):
        Prometheus(url).query("up")


def test_a_refused_connection_and_a_timeout_are_errors() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(MetricsError, match="no answer: timed out"):
            Prometheus(url, timeout_s=0.1).query("up")
    with pytest.raises(MetricsError, match=r"no answer: .*refused"):
        Prometheus(url).query("up")


def test_addresses_other_than_http_are_refused(tmp_path: object) -> None:
    with pytest.raises(MetricsError, match="should start with http"):
        Prometheus(f"file://{tmp_path}").query("up")
