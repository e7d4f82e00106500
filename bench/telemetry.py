"""What telemetry adds to a request of a bare Flask view, in this process; it opens no socket and sends nothing.

`python3 -m bench telemetry` prints it. All variants take turns in small rounds and the median of their differences
counts, since a busy machine slows down whichever is just running.
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
from telemetry.metrics import ServiceMetrics
from telemetry.middleware import Middleware
from telemetry.traces import RequestTracer

ROUNDS = 60
REQUESTS = 150
BARE = "bare view"
METRICS_LIMIT_US = 25.0


@dataclass(frozen=True)
class Cost:
    """Microseconds a request: of the variant itself, and over the bare view."""

    name: str
    own_us: float
    added_us: float


def measure(rounds: int = ROUNDS, requests: int = REQUESTS) -> list[Cost]:
    """Returns the cost of each variant, the bare view first."""
    with contextlib.redirect_stdout(io.StringIO()):  # the log lines
        variants = _variants()
        environ = EnvironBuilder("/item/7").get_environ()
        for app in variants.values():
            _round(app, environ, requests)
        taken: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(rounds):
            for name, app in variants.items():
                taken[name].append(_round(app, environ, requests))
    return [
        Cost(
            name,
            statistics.median(each),
            statistics.median(a - b for a, b in zip(each, taken[BARE], strict=True)),
        )
        for name, each in taken.items()
    ]


def render(costs: Sequence[Cost]) -> str:
    """Lays the costs out as a table with each one's ratio to the bare view."""
    bare = costs[0].own_us
    lines = [f"{'':28}{'a request':>12}{'added':>12}{'ratio':>8}"]
    lines += [
        f"{each.name:28}{each.own_us:9.0f} us{each.added_us:9.1f} us{each.own_us / bare:8.2f}"
        for each in costs
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
    """An app with metrics, without log lines, and with traces of a share of requests."""
    app, identity = _app(), Identity("bench", "r1", "abc", "sha256:1", "bench-1")
    tracer = None
    if traced_share is not None:
        with _environment(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=traced_share):
            tracer = RequestTracer(identity, _Nowhere())
    metrics = ServiceMetrics(identity, "unknown", lambda: True)
    app.wsgi_app = Middleware(app.wsgi_app, identity, metrics, tracer)  # type: ignore[method-assign]
    return app


class _Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to close."""


@contextlib.contextmanager
def _environment(**told: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(told)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _round(app: Any, environ: Mapping[str, Any], requests: int) -> float:
    """Returns microseconds a request."""
    # Only the variant that is named after them writes lines, as LOG_LEVEL would have it.
    logging.getLogger("telemetry.request").disabled = not app.config.get("LOGS", False)
    begun = time.perf_counter()
    for _ in range(requests):
        body = app(dict(environ), _start_response)
        for _piece in body:
            pass
        body.close()
    return (time.perf_counter() - begun) / requests * 1e6


def _start_response(status: str, headers: object, exc_info: object = None) -> None:
    """Takes the answer's head and drops it."""


def main() -> int:
    """Prints the table; 1 if metrics cost more than their limit."""
    costs = measure()
    print(render(costs))
    metrics = next(each for each in costs if each.name == "metrics")
    within = metrics.added_us <= METRICS_LIMIT_US
    said = "kept" if within else "broken"
    print(f"metrics add {metrics.added_us:.1f} us of at most {METRICS_LIMIT_US:g}: {said}")
    return 0 if within else 1


if __name__ == "__main__":
    raise SystemExit(main())
