"""A rollout as a trace: a root span, a span per phase, and a span per step with its host and reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploy.core.reports.rollout_log import (
    RolloutLog,
    Span,
    dump_rollout_log,
    parse_rollout_log,
)
from deploy.core.reports.trace import trace_id, trace_of

SPANS = (
    Span("prepare", "PullImages", "host-1", "not on the host", "line 1", 0.5, 2.0),
    Span("prepare", "PullImages", "host-2", "not on the host", "line 2", 0.5, 3.0),
    Span("switch", "PointTraffic", "host-1", "r1 is live", "line 3", 4.0, 0.5, "nginx refuses"),
)
LOG = RolloutLog(
    service="app",
    release="r000002-abc",
    previous="r000001-abc",
    environment="sandbox",
    verb="deploy",
    turn=2,
    who="ada",
    begun="2026-11-24T05:00:00+00:00",
    seconds=6.0,
    outcome="reverted",
    why="nginx refuses",
    revision="abc",
    pipeline="",
    spans=SPANS,
)


def spans(log: RolloutLog = LOG) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trace_of(log)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return found


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def test_phases_are_below_the_root_and_steps_below_their_phase() -> None:
    found = spans()
    names = {each["spanId"]: each["name"] for each in found}
    assert [(each["name"], names.get(each.get("parentSpanId", ""))) for each in found] == [
        ("deploy app", None),
        ("prepare", "deploy app"),
        ("PullImages", "prepare"),
        ("PullImages", "prepare"),
        ("switch", "deploy app"),
        ("PointTraffic", "switch"),
    ]
    assert len(names) == len(found)
    assert {each["traceId"] for each in found} == {trace_id(LOG)}
    assert len(trace_id(LOG)) == 32
    assert all(len(each["spanId"]) == 16 for each in found)


def test_a_step_has_its_host_reason_and_duration() -> None:
    step = spans()[3]
    assert attributes(step)["host.name"] == "host-2"
    assert attributes(step)["ship.because"] == "not on the host"
    lasted = int(step["endTimeUnixNano"]) - int(step["startTimeUnixNano"])
    assert lasted == pytest.approx(3e9, abs=1000)
    phase = spans()[1]
    assert int(phase["endTimeUnixNano"]) - int(phase["startTimeUnixNano"]) == pytest.approx(
        3e9, abs=1000
    )


def test_a_failed_step_makes_its_phase_and_the_rollout_errors() -> None:
    by_name = {each["name"]: each["status"] for each in spans()}
    assert by_name["PointTraffic"] == {"code": 2, "message": "nginx refuses"}
    assert by_name["switch"]["code"] == by_name["deploy app"]["code"] == 2
    assert by_name["prepare"] == {"code": 1}
    assert spans(replace(LOG, outcome="live"))[0]["status"] == {"code": 1}


def test_the_trace_id_is_the_same_only_for_the_same_rollout() -> None:
    assert trace_of(LOG) == trace_of(parse_rollout_log(dump_rollout_log(LOG)))
    assert trace_id(LOG) != trace_id(replace(LOG, turn=3))


def test_text_that_is_no_rollout_log_is_refused() -> None:
    for text in ("", "{}", "[]", '{"spans": [1]}'):
        with pytest.raises(ValueError, match=r"."):
            parse_rollout_log(text)
