"""What a reader of the file sees, line by line."""

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
    "line": "host-1: PrepareHost (the host is new)",
}


def test_each_event_is_a_line_at_once(tmp_path: Path) -> None:
    trail = EventFile(tmp_path / "events", print, lambda: "now")
    told: list[dict[str, object]] = []
    for event in (
        PhaseBegun("prepare", 1, 7, 1),
        StepBegun(STEP),
        StepDone(STEP, 0.12345),
        StepFailed(STEP, 1, OSError("broke")),
        Message("host-1", "a word"),
    ):
        trail.tell(event)
        told.append(json.loads((tmp_path / "events").read_text().splitlines()[-1]))
    assert told == [
        {"at": "now", "event": "PhaseBegun", "phase": "prepare", "number": 1, "of": 7},
        {"at": "now", "event": "StepBegun", **NAMED},
        {"at": "now", "event": "StepDone", **NAMED, "seconds": 0.123},
        {"at": "now", "event": "StepFailed", **NAMED, "seconds": 1, "error": "broke"},
        {"at": "now", "event": "Message", "host": "host-1", "text": "a word"},
    ]


def test_a_file_that_cannot_be_written_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    trail = EventFile(tmp_path / "no folder" / "events", said.append)
    trail.tell(StepBegun(STEP))
    trail.tell(StepBegun(STEP))
    assert len(said) == 1
    assert "No such file" in said[0]
