"""Measures the time that telemetry adds to a request of a bare Flask view, in this process and without a network.

`python3 -m bench telemetry` prints it. The variants take turns in short rounds, and the median of the differences
counts, so that a busy machine slows all of them down alike.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from werkzeug.test import EnvironBuilder

from telemetry import instrument
from telemetry.identity import Identity
from telemetry.liveness import Progress
from telemetry.metrics import ServiceMetrics
from telemetry.middleware import Middleware
from telemetry.traces import RequestTracer

ROUNDS = 60
REQUESTS = 150
BARE = "bare view"
METRICS_LIMIT_US = 25.0


@dataclass(frozen=True)
class Cost:
    """Microseconds for a request: with the variant, and added to the bare view."""

    name: str
    request_us: float
    added_us: float


def measure(rounds: int = ROUNDS, requests: int = REQUESTS) -> list[Cost]:
    """Returns the cost of each variant, the bare view first."""
    with contextlib.redirect_stdout(io.StringIO()):  # the log lines
        variants = _variants()
        environ = EnvironBuilder("/item/7").get_environ()
        for app in variants.values():
            _round(app, environ, requests)
        times_us: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(rounds):
            for name, app in variants.items():
                times_us[name].append(_round(app, environ, requests))
    return [
        Cost(
            name,
            statistics.median(times),
            statistics.median(a - b for a, b in zip(times, times_us[BARE], strict=True)),
        )
        for name, times in times_us.items()
    ]


def render(costs: Sequence[Cost]) -> str:
    """Returns a table of the costs, with each variant's ratio to the bare view."""
    bare = costs[0].request_us
    lines = [f"{'':28}{'a request':>12}{'added':>12}{'ratio':>8}"]
    lines += [
        f"{cost.name:28}{cost.request_us:9.0f} us{cost.added_us:9.1f} us{cost.request_us / bare:8.2f}"
        for cost in costs
    ]
    return "\n".join(lines)


def _variants() -> Mapping[str, Flask]:
    logged = _app()
    instrument(logged, environ={"LOG_LEVEL": "info"})
    logged.config["LOGS"] = True
    return {
        BARE: _app(),
        "metrics": _measured(None),
        "metrics, traces at 1 %": _measured("0.01"),
        "metrics, traces at 100 %": _measured("1"),
        "metrics, a log line each": logged,
    }


def _app() -> Flask:
    app = Flask("bench")
    app.add_url_rule("/item/<int:number>", "item", lambda number: f"item {number}")
    return app


def _measured(traced_share: str | None) -> Flask:
    """Returns an app with metrics and no log lines. Traces a share of the requests unless it is None."""
    app, identity = _app(), Identity("bench", "r1", "abc", "sha256:1", "bench-1")
    tracer = None
    if traced_share is not None:
        with _environment(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=traced_share):
            tracer = RequestTracer(identity, _DiscardingExporter())
    metrics = ServiceMetrics(identity, "unknown", lambda: True)
    app.wsgi_app = Middleware(app.wsgi_app, identity, metrics, tracer, Progress())  # type: ignore[method-assign]
    return app


class _DiscardingExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Does nothing."""


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _round(app: Any, environ: Mapping[str, Any], requests: int) -> float:
    """Returns the mean microseconds of a request."""
    # Only the variant with log lines writes them, as if LOG_LEVEL were set for it alone.
    logging.getLogger("telemetry.request").disabled = not app.config.get("LOGS", False)
    started = time.perf_counter()
    for _ in range(requests):
        body = app(dict(environ), _start_response)
        for _chunk in body:
            pass
        body.close()
    return (time.perf_counter() - started) / requests * 1e6


def _start_response(status: str, headers: object, exc_info: object = None) -> None:
    """Ignores the status and headers."""


def main() -> int:
    """Prints the table. Returns 1 if metrics add more time than their limit."""
    costs = measure()
    print(render(costs))
    metrics = next(cost for cost in costs if cost.name == "metrics")
    within = metrics.added_us <= METRICS_LIMIT_US
    result = "within" if within else "above"
    print(f"metrics add {metrics.added_us:.1f} us, {result} the limit of {METRICS_LIMIT_US:g} us")
    return 0 if within else 1


if __name__ == "__main__":
    raise SystemExit(main())
