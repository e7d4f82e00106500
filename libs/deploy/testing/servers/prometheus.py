"""A Prometheus that looks queries up in a table instead of evaluating them, in memory or behind an HTTP server."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deploy.errors import MetricsError
from deploy.testing.servers.http_server import QuietHandler, http_server

type Series = Sequence[tuple[Mapping[str, str], float]]


class MemoryMetrics:
    """A MetricsQuery with set answers: series, or a function that returns them. `queries` records every query.

    While `broken` is set, every query fails with that reason.
    """

    def __init__(self) -> None:
        self._answers: dict[str, Callable[[], Series]] = {}
        self.queries: list[str] = []
        self.broken = ""

    def answer(self, promql: str, series: Series | Callable[[], Series]) -> None:
        """Sets the answer to a query."""
        self._answers[promql] = series if callable(series) else lambda: series

    def query(self, promql: str) -> list[tuple[Mapping[str, str], float]]:
        """Returns the series of a query. Raises MetricsError for an unknown query, for NaN and while `broken`."""
        self.queries.append(promql)
        if self.broken:
            raise MetricsError(f"Prometheus can't answer: {self.broken}", hint="check Prometheus")
        series = self.series(promql)
        if not series:
            raise MetricsError(
                f"Prometheus can't answer `{promql}`: no series matches", hint="check Prometheus"
            )
        for _, value in series:
            if not math.isfinite(value):
                raise MetricsError(
                    f"Prometheus can't answer `{promql}`: a value is {value}",
                    hint="check Prometheus",
                )
        return series

    def series(self, promql: str) -> list[tuple[Mapping[str, str], float]]:
        """Returns the series in the table, none for an unknown query."""
        return list(self._answers[promql]()) if promql in self._answers else []


@contextmanager
def prometheus_server(metrics: MemoryMetrics) -> Iterator[str]:
    """Serves /api/v1/query on a free port of the loopback interface. Yields its URL."""

    class Handler(QuietHandler):
        def respond(self) -> None:
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
            result = [
                {"metric": dict(labels), "value": [0, _text(value)]}
                for labels, value in metrics.series(promql)
            ]
            self._send(
                200, {"status": "success", "data": {"resultType": "vector", "result": result}}
            )

        def _send(self, status: int, body: Mapping[str, Any]) -> None:
            self.reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    with http_server(Handler) as server:
        yield server.url


def _text(value: float) -> str:
    """Formats a value as Prometheus does."""
    return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(str(value), str(value))
