"""The SVG is well-formed and has every release, failure, step and unfinished step."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from e2e.loadgen.chart import (
    Mark,
    UnfinishedStep,
    draw,
    read_marks,
)
from e2e.loadgen.record import Record, Row

BEGUN = 1_800_000_000.0


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(BEGUN + seconds, UTC).isoformat()


def _row(due: float, release: str, status: int = 200, stream: str = "app:/") -> Row:
    return Row(BEGUN + due, 0.1, stream, "fresh", status, release, "app-1", "")


def test_chart_has_rollouts_steps_and_failures() -> None:
    rows = [_row(n / 10, "r000001-aaaaaaa" if n < 50 else "r000002-aaaaaaa") for n in range(100)]
    rows += [_row(3, "r000001-aaaaaaa", 502), _row(4, "r000009-bbbbbbb", stream="fixture:get")]
    mark = Mark(
        BEGUN + 2,
        BEGUN + 6,
        "app r000002-aaaaaaa",
        ((BEGUN + 2, "PointTraffic"),),
        UnfinishedStep("Prune", "host-1: Prune"),
    )
    text = draw(Record(tuple(rows)), [mark], "a <title>")
    root = ET.fromstring(text)  # noqa: S314 - our own text
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["app r000002-aaaaaaa", "PointTraffic", "host-1: Prune"]
    assert "1 of 102" in text
    assert "a &lt;title&gt;" in text
    assert text.count("<circle") == 1


def test_rollouts_are_read_from_event_files(tmp_path: Path) -> None:
    line = "host-1: Prune r (because)"
    step = {"host": "host-1", "step": "Prune", "because": "because", "line": line}
    plan = {"at": _at(0), "event": "PlanMade", "service": "app", "release": "r"}
    begun, done = (
        {"at": _at(n), "event": e, **step} for n, e in ((1, "StepBegun"), (2, "StepDone"))
    )
    for name, events in {"one": [plan, begun, done], "two": [plan, begun], "three": []}.items():
        (tmp_path / name).write_text("".join(f"{json.dumps(event)}\n" for event in events))
    one, two = read_marks(sorted(tmp_path.iterdir()))
    assert (one.unfinished, one.ended - one.begun) == (None, 2)
    assert two.unfinished == UnfinishedStep("Prune", "host-1: Prune r")
    assert two.steps == ((BEGUN + 1, "Prune"),)
    assert one.title == "app r"
