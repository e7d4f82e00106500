"""Renders a rollout as an OpenTelemetry trace in OTLP's JSON encoding.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from deploy.core.reports.rollout_log import RolloutLog, Span

type Attributes = Mapping[str, str | int | float]
_INTERNAL, _OK, _ERROR = 1, 1, 2


def trace_id(log: RolloutLog) -> str:
    """Returns the id of a rollout's trace, which depends only on the rollout."""
    text = f"{log.environment} {log.service} {log.turn} {log.begun}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def trace_of(log: RolloutLog) -> dict[str, Any]:
    """Returns the trace: a root span for the rollout, below it one per phase, below those one per step."""
    root, failed = _id(log, "deploy"), log.outcome in ("reverted", "stuck")
    facts: Attributes = {
        "deploy.environment.name": log.environment,
        "ship.service": log.service,
        "ship.release": log.release,
        "ship.previous": log.previous,
        "ship.outcome": log.outcome,
        "ship.turn": log.turn,
        "ship.who": log.who,
        "vcs.ref.head.revision": log.revision,
        "cicd.pipeline.run.url.full": log.pipeline,
    }
    name = f"{log.verb} {log.service}"
    why = log.why if failed else ""
    spans = [_span(log, root, "", name, (0.0, log.seconds), facts, why)]
    for number, (phase, begun, ended) in enumerate(log.phases):
        parent = _id(log, f"phase {number}")
        steps = [step for step in log.spans if step.phase == phase]
        error = next((step.error for step in steps if step.error), "")
        spans.append(_span(log, parent, root, phase, (begun, ended), {}, error))
        spans += [_step(log, parent, number, step) for number, step in enumerate(steps)]
    resource: Attributes = {
        "service.name": "ship",
        "deployment.environment.name": log.environment,
    }
    scope = {"scope": {"name": "deploy"}, "spans": spans}
    return {
        "resourceSpans": [
            {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}
        ]
    }


def _step(log: RolloutLog, parent: str, number: int, span: Span) -> dict[str, Any]:
    facts: Attributes = {
        "host.name": span.host,
        "ship.because": span.because,
        "ship.line": span.line,
    }
    name, times = _id(log, f"{parent} {number}"), (span.begun_s, span.begun_s + span.seconds)
    return _span(log, name, parent, span.step, times, facts, span.error)


def _span(
    log: RolloutLog,
    span_id: str,
    parent: str,
    title: str,
    times: tuple[float, float],
    facts: Attributes,
    error: str,
) -> dict[str, Any]:
    zero = datetime.fromisoformat(log.begun).timestamp()
    begun, ended = (str(round((zero + seconds) * 1e9)) for seconds in times)
    return {
        "traceId": trace_id(log),
        "spanId": span_id,
        **({"parentSpanId": parent} if parent else {}),
        "name": title,
        "kind": _INTERNAL,
        "startTimeUnixNano": begun,
        "endTimeUnixNano": ended,
        "attributes": _attributes(facts),
        "status": {"code": _ERROR, "message": error} if error else {"code": _OK},
    }


def _id(log: RolloutLog, name: str) -> str:
    return hashlib.sha256(f"{trace_id(log)} {name}".encode()).hexdigest()[:16]


def _attributes(facts: Attributes) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in facts.items() if value != ""]


def _value(value: str | float) -> dict[str, Any]:
    match value:
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case _:
            return {"doubleValue": value}
