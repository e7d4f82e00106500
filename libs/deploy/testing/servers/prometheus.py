"""A Prometheus made of a table, in memory or behind a real HTTP server; never evaluates PromQL."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deploy.errors import MetricsError

type Series = Sequence[tuple[Mapping[str, str], float]]


class MemoryMetrics:
    """MetricsQuery that answers what it was given: series, or a function that makes them anew."""

    def __init__(self) -> None:
        self._answers: dict[str, Callable[[], Series]] = {}
        self.asked: list[str] = []
        self.broken = ""

    def answer(self, promql: str, series: Series | Callable[[], Series]) -> None:
        """Sets what a query returns from now on."""
        self._answers[promql] = series if callable(series) else lambda: series

    def query(self, promql: str) -> list[tuple[Mapping[str, str], float]]:
        """Returns the series of the table; raises for an unknown query, for NaN and while `broken`."""
        self.asked.append(promql)
        if self.broken:
            raise MetricsError(f"Prometheus can't answer: {self.broken}", hint="look at it")
        series = self.series(promql)
        if not series:
            raise MetricsError(
                f"Prometheus can't answer `{promql}`: no series matches", hint="look at it"
            )
        for _, value in series:
            if not math.isfinite(value):
                raise MetricsError(
                    f"Prometheus can't answer `{promql}`: a value is {value}", hint="look at it"
                )
        return series

    def series(self, promql: str) -> list[tuple[Mapping[str, str], float]]:
        """Returns what the table holds, nothing for an unknown query."""
        return list(self._answers[promql]()) if promql in self._answers else []


@contextmanager
def prometheus_server(metrics: MemoryMetrics) -> Iterator[str]:
    """Serves /api/v1/query on a free port of the loopback; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target = urlsplit(self.path)
            if target.path != "/api/v1/query":
                self._send(404, {"status": "error", "error": "no such path"})
                return
            promql = parse_qs(target.query).get("query", [""])[0]
            if metrics.broken:
                self._send(
                    400, {"status": "error", "errorType": "bad_data", "error": metrics.broken}
                )
                return
            found = metrics.series(promql)
            result = [
                {"metric": dict(labels), "value": [0, _text(value)]} for labels, value in found
            ]
            self._send(
                200, {"status": "success", "data": {"resultType": "vector", "result": result}}
            )

        def _send(self, status: int, body: Mapping[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


def _text(value: float) -> str:
    """Writes a value as Prometheus does."""
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(str(value), str(value))
