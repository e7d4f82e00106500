"""The picture as its text: every release, failure, step and broken deployer is in it, and it is well-formed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from e2e.loadgen.chart import (
    Mark,
    draw,
    marks_of,
)
from e2e.loadgen.record import Record, Row

BEGUN = 1_800_000_000.0


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(BEGUN + seconds, UTC).isoformat()


def _row(due: float, release: str, status: int = 200, stream: str = "app:/") -> Row:
    return Row(BEGUN + due, 0.1, stream, "fresh", status, release, "app-1", "")


def test_the_picture_holds_all_there_is() -> None:
    rows = [_row(n / 10, "r000001-aaaaaaa" if n < 50 else "r000002-aaaaaaa") for n in range(100)]
    rows += [_row(3, "r000001-aaaaaaa", 502), _row(4, "r000009-bbbbbbb", stream="fixture:get")]
    mark = Mark(
        BEGUN + 2, BEGUN + 6, "app r000002-aaaaaaa", ((BEGUN + 2, "PointTraffic"),), "Prune"
    )
    text = draw(Record(tuple(rows)), [mark], "a <title>")
    root = ET.fromstring(text)  # noqa: S314 - our own text
    titles = [each.text for each in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["app r000002-aaaaaaa", "PointTraffic", "Prune"]
    assert "1 of 102" in text
    assert "a &lt;title&gt;" in text
    assert text.count("<circle") == 1


def test_rollouts_are_read_from_their_events(tmp_path: Path) -> None:
    step = {"host": "host-1", "step": "Prune", "line": "host-1: Prune r (because)"}
    plan = {"at": _at(0), "event": "PlanMade", "service": "app", "release": "r"}
    begun, done = (
        {"at": _at(n), "event": e, **step} for n, e in ((1, "StepBegun"), (2, "StepDone"))
    )
    for name, events in {"one": [plan, begun, done], "two": [plan, begun], "three": []}.items():
        (tmp_path / name).write_text("".join(f"{json.dumps(event)}\n" for event in events))
    one, two = marks_of(sorted(tmp_path.iterdir()))
    assert (one.broken, one.ended - one.begun) == ("", 2)
    assert (two.broken, two.steps) == ("host-1: Prune r", ((BEGUN + 1, "Prune"),))
    assert one.what == "app r"
