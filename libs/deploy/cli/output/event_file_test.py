"""The lines of the event file."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.cli.output.event_file import EventFile
from deploy.core.planning.steps import PrepareHost
from deploy.run.rollout.events import (
    Message,
    PhaseBegun,
    StepBegun,
    StepDone,
    StepFailed,
)

STEP = PrepareHost("host-1", "the host is new")
NAMED = {
    "host": "host-1",
    "step": "PrepareHost",
    "because": "the host is new",
    "line": "host-1: create the network (the host is new)",
}


def test_each_event_is_written_at_once_as_one_line(tmp_path: Path) -> None:
    events = EventFile(tmp_path / "events", print, lambda: "now")
    lines: list[dict[str, object]] = []
    for event in (
        PhaseBegun("prepare", 1, 7, 1),
        StepBegun(STEP),
        StepDone(STEP, 0.12345),
        StepFailed(STEP, 1, OSError("broke")),
        Message("host-1", "a line"),
    ):
        events.on_event(event)
        lines.append(json.loads((tmp_path / "events").read_text().splitlines()[-1]))
    assert lines == [
        {"at": "now", "event": "PhaseBegun", "phase": "prepare", "number": 1, "of": 7},
        {"at": "now", "event": "StepBegun", **NAMED},
        {"at": "now", "event": "StepDone", **NAMED, "seconds": 0.123},
        {"at": "now", "event": "StepFailed", **NAMED, "seconds": 1, "error": "broke"},
        {"at": "now", "event": "Message", "host": "host-1", "text": "a line"},
    ]


def test_write_error_is_reported_once_and_stops_nothing(tmp_path: Path) -> None:
    messages: list[str] = []
    events = EventFile(tmp_path / "no folder" / "events", messages.append)
    events.on_event(StepBegun(STEP))
    events.on_event(StepBegun(STEP))
    assert len(messages) == 1
    assert "No such file" in messages[0]
