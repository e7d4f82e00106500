"""Listens to a deploy and keeps when each step began and how it ended; never writes it down itself."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from deploy.core.planning.step_lines import describe
from deploy.core.planning.steps import Step, name_of
from deploy.core.ports import Clock
from deploy.core.reports.rollout_log import RolloutLog, Span
from deploy.core.state.ledger import Entry
from deploy.run.rollout.events import (
    Event,
    Listener,
    PhaseBegun,
    PlanMade,
    StepDone,
    StepFailed,
)


@dataclass
class RolloutRecorder:
    """A listener that passes every event on to `also`.

    `begun` is on the monotonic clock, `begun_at` the same moment in UTC; `ended` is the operation's last entry.
    """

    clock: Clock
    also: Listener
    begun: float
    begun_at: str
    ended: Entry | None = None
    spans: list[Span] = field(default_factory=list)
    _phase: str = ""
    _back: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, event: Event) -> None:
        """Hears one event."""
        match event:
            case PlanMade(reverting=reverting):
                self._back = "way back: " if reverting else ""
            case PhaseBegun(name=name):
                self._phase = f"{self._back}{name}"
            case StepDone(step=step, seconds=seconds):
                self._keep(step, seconds, "")
            case StepFailed(step=step, seconds=seconds, error=error):
                self._keep(step, seconds, str(error) or type(error).__name__)
            case _:
                pass
        self.also(event)

    def end(self, entry: Entry) -> None:
        """Hears the operation's last entry."""
        self.ended = entry

    def chronicle(self, entry: Entry, environment: str) -> RolloutLog:
        """Returns all of it; `entry` is the operation's last word."""
        with self._lock:
            spans = tuple(self.spans)
        return RolloutLog(
            service=entry.service,
            release=entry.release,
            previous=entry.previous,
            environment=environment,
            verb=entry.verb,
            turn=entry.turn,
            who=entry.who,
            begun=self.begun_at,
            seconds=round(self.clock.monotonic() - self.begun, 3),
            outcome=entry.outcome,
            why=entry.why,
            revision=entry.revision,
            pipeline=entry.pipeline,
            spans=spans,
        )

    def _keep(self, step: Step, seconds: float, error: str) -> None:
        begun_s = self.clock.monotonic() - seconds - self.begun
        with self._lock:
            self.spans.append(
                Span(
                    phase=self._phase,
                    step=name_of(step),
                    host=step.host,
                    because=step.because,
                    line=describe(step),
                    begun_s=round(max(0.0, begun_s), 3),
                    seconds=round(seconds, 3),
                    error=error,
                )
            )
