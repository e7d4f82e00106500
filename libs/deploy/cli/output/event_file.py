"""Writes each event of a rollout to a file as it happens, one JSON object a line; never fails or slows the rollout."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.core.planning.step_lines import describe
from deploy.core.planning.steps import Step, name_of
from deploy.core.ports import Say
from deploy.run.rollout.events import (
    Event,
    Message,
    PhaseBegun,
    PlanMade,
    StepBegun,
    StepDone,
    StepFailed,
)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass
class EventFile:
    """A listener that appends to `file`; the first line that can't be written is told, and the rest left out."""

    file: Path
    say: Say
    now: Callable[[], str] = _now
    redact: Callable[[str], str] = str
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _broken: bool = False

    def tell(self, event: Event) -> None:
        """Appends one line."""
        line = json.dumps({"at": self.now(), "event": type(event).__name__, **document(event)})
        with self._lock:
            if self._broken:
                return
            try:
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(f"{self.redact(line)}\n")
            except OSError as error:
                self._broken = True
                self.say(f"events are no longer written to {self.file}: {error.strerror}")


def document(event: Event) -> dict[str, Any]:
    """Returns what an event tells, as JSON has it."""
    match event:
        case PlanMade(plan=plan, reverting=reverting):
            steps = [
                {"phase": phase.name, **_of(step)} for phase in plan.phases for step in phase.steps
            ]
            return {
                "service": plan.service,
                "release": plan.release.id if plan.release else None,
                "reverting": reverting,
                "steps": steps,
            }
        case PhaseBegun(name=name, number=number, of=of):
            return {"phase": name, "number": number, "of": of}
        case StepBegun(step=step):
            return _of(step)
        case StepDone(step=step, seconds=seconds):
            return {**_of(step), "seconds": round(seconds, 3)}
        case StepFailed(step=step, seconds=seconds, error=error):
            return {**_of(step), "seconds": round(seconds, 3), "error": str(error)}
        case Message(host=host, text=text):
            return {"host": host, "text": text}


def _of(step: Step) -> dict[str, str]:
    return {
        "host": step.host,
        "step": name_of(step),
        "because": step.because,
        "line": describe(step),
    }
