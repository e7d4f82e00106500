"""Records a rollout's log from its events."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from deploy.core.planning.steps import Step, describe, name_of
from deploy.core.ports import Clock
from deploy.core.reports.rollout_log import RolloutLog, Span
from deploy.core.state.ledger import Entry
from deploy.run.rollout.events import Event, Listener, PhaseBegun, StepDone, StepFailed


@dataclass
class RolloutRecorder:
    """A listener that records spans and passes every event on to `next_listener`.

    `begun` is on the monotonic clock, `begun_at` the same moment in UTC; `last` is the operation's last ledger entry.
    """

    clock: Clock
    next_listener: Listener
    begun: float
    begun_at: str
    last: Entry | None = None
    spans: list[Span] = field(default_factory=list)
    _phase: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_event(self, event: Event) -> None:
        """Records one event."""
        match event:
            case PhaseBegun(name=name):
                self._phase = name
            case StepDone(step=step, seconds=seconds):
                self._record(step, seconds, "")
            case StepFailed(step=step, seconds=seconds, error=error):
                self._record(step, seconds, str(error) or type(error).__name__)
            case _:
                pass
        self.next_listener(event)

    def on_end(self, entry: Entry) -> None:
        """Records the operation's last ledger entry."""
        self.last = entry

    def log(self, entry: Entry, environment: str) -> RolloutLog:
        """Returns the log; `entry` is the operation's last ledger entry."""
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

    def _record(self, step: Step, seconds: float, error: str) -> None:
        begun_s = self.clock.monotonic() - seconds - self.begun
        with self._lock:
            self.spans.append(
                Span(
                    phase=self._phase,
                    step=name_of(step),
                    host=step.host,
                    because=step.because or "",
                    line=describe(step),
                    begun_s=round(max(0.0, begun_s), 3),
                    seconds=round(seconds, 3),
                    error=error,
                )
            )
