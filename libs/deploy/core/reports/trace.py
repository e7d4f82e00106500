"""A deploy as one OpenTelemetry trace, in OTLP's JSON; never sends one.

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


def trace_id(chronicle: RolloutLog) -> str:
    """Names a deploy's trace: the same for the same deploy, whoever asks."""
    text = f"{chronicle.environment} {chronicle.service} {chronicle.turn} {chronicle.begun}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def trace_of(chronicle: RolloutLog) -> dict[str, Any]:
    """Returns the whole trace: the deploy, a span a phase below it, a span a step below that, with host and cause."""
    root, failed = _id(chronicle, "deploy"), chronicle.outcome in ("reverted", "stuck")
    facts: Attributes = {
        "deploy.environment.name": chronicle.environment,
        "ship.service": chronicle.service,
        "ship.release": chronicle.release,
        "ship.previous": chronicle.previous,
        "ship.outcome": chronicle.outcome,
        "ship.turn": chronicle.turn,
        "ship.who": chronicle.who,
        "vcs.ref.head.revision": chronicle.revision,
        "cicd.pipeline.run.url.full": chronicle.pipeline,
    }
    name = f"{chronicle.verb} {chronicle.service}"
    why = chronicle.why if failed else ""
    spans = [_span(chronicle, root, "", name, (0.0, chronicle.seconds), facts, why)]
    for number, (phase, begun, ended) in enumerate(chronicle.phases):
        above = _id(chronicle, f"phase {number}")
        steps = [each for each in chronicle.spans if each.phase == phase]
        wrong = next((each.error for each in steps if each.error), "")
        spans.append(_span(chronicle, above, root, phase, (begun, ended), {}, wrong))
        spans += [_step(chronicle, above, at, each) for at, each in enumerate(steps)]
    told: Attributes = {
        "service.name": "ship",
        "deployment.environment.name": chronicle.environment,
    }
    scope = {"scope": {"name": "deploy"}, "spans": spans}
    return {
        "resourceSpans": [{"resource": {"attributes": _attributes(told)}, "scopeSpans": [scope]}]
    }


def _step(chronicle: RolloutLog, above: str, number: int, span: Span) -> dict[str, Any]:
    facts: Attributes = {
        "host.name": span.host,
        "ship.because": span.because,
        "ship.line": span.line,
    }
    name, times = _id(chronicle, f"{above} {number}"), (span.begun_s, span.begun_s + span.seconds)
    return _span(chronicle, name, above, span.step, times, facts, span.error)


def _span(
    chronicle: RolloutLog,
    name: str,
    above: str,
    title: str,
    times: tuple[float, float],
    facts: Attributes,
    error: str,
) -> dict[str, Any]:
    zero = datetime.fromisoformat(chronicle.begun).timestamp()
    begun, ended = (str(round((zero + each) * 1e9)) for each in times)
    return {
        "traceId": trace_id(chronicle),
        "spanId": name,
        **({"parentSpanId": above} if above else {}),
        "name": title,
        "kind": _INTERNAL,
        "startTimeUnixNano": begun,
        "endTimeUnixNano": ended,
        "attributes": _attributes(facts),
        "status": {"code": _ERROR, "message": error} if error else {"code": _OK},
    }


def _id(chronicle: RolloutLog, name: str) -> str:
    return hashlib.sha256(f"{trace_id(chronicle)} {name}".encode()).hexdigest()[:16]


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
