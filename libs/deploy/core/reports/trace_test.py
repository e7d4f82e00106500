"""A deploy as a trace: one root, a span a phase, a span a step, each with host and cause."""

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
CHRONICLE = RolloutLog(
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


def spans(chronicle: RolloutLog = CHRONICLE) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trace_of(chronicle)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return found


def told(span: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def test_one_root_phases_below_it_and_steps_below_those() -> None:
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
    assert {each["traceId"] for each in found} == {trace_id(CHRONICLE)}
    assert len(trace_id(CHRONICLE)) == 32
    assert all(len(each["spanId"]) == 16 for each in found)


def test_a_step_has_its_host_its_cause_and_its_time() -> None:
    step = spans()[3]
    assert told(step)["host.name"] == "host-2"
    assert told(step)["ship.because"] == "not on the host"
    lasted = int(step["endTimeUnixNano"]) - int(step["startTimeUnixNano"])
    assert lasted == pytest.approx(3e9, abs=1000)
    phase = spans()[1]
    assert int(phase["endTimeUnixNano"]) - int(phase["startTimeUnixNano"]) == pytest.approx(
        3e9, abs=1000
    )


def test_what_failed_is_an_error_all_the_way_up() -> None:
    by_name = {each["name"]: each["status"] for each in spans()}
    assert by_name["PointTraffic"] == {"code": 2, "message": "nginx refuses"}
    assert by_name["switch"]["code"] == by_name["deploy app"]["code"] == 2
    assert by_name["prepare"] == {"code": 1}
    assert spans(replace(CHRONICLE, outcome="live"))[0]["status"] == {"code": 1}


def test_the_same_deploy_is_the_same_trace_and_another_another() -> None:
    assert trace_of(CHRONICLE) == trace_of(parse_rollout_log(dump_rollout_log(CHRONICLE)))
    assert trace_id(CHRONICLE) != trace_id(replace(CHRONICLE, turn=3))


def test_what_is_no_chronicle_is_refused() -> None:
    for text in ("", "{}", "[]", '{"spans": [1]}'):
        with pytest.raises(ValueError, match=r"."):
            parse_rollout_log(text)
