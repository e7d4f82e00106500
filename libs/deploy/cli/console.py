"""Says on stderr what is being done, how far it is and how long it takes; never on stdout, never a decision.

A terminal gets colour unless NO_COLOR is set; CI and a pipe get plain lines, each with its time.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from deploy.core.steps import describe
from deploy.run.events import (
    Event,
    Listener,
    PhaseBegun,
    PlanMade,
    Said,
    StepBegun,
    StepDone,
    StepFailed,
)


@dataclass
class Console:
    """Lines on stderr, and the steps that were done, for the JSON document. `also` hears every event first."""

    colour: bool = False
    quiet: bool = False
    steps: list[dict[str, object]] = field(default_factory=list)
    also: Listener = lambda event: None
    _begun: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _phase: str = ""

    @classmethod
    def for_stream(cls, environ: Mapping[str, str]) -> Console:
        """Makes a console that respects NO_COLOR, CI and a pipe."""
        plain = "NO_COLOR" in environ or "CI" in environ or not sys.stderr.isatty()
        return cls(colour=not plain)

    def say(self, text: str) -> None:
        """Writes one line with the time since the start."""
        with self._lock:
            passed = time.monotonic() - self._begun
            print(f"{self._paint('2', f'{passed:6.1f} s')}  {text}", file=sys.stderr, flush=True)

    @contextmanager
    def doing(self, what: str, *, usually: str = "") -> Iterator[None]:
        """Says what begins and how long it usually takes, then how long it took."""
        self.say(f"{what} ..." + (f" (usually {usually})" if usually else ""))
        begun = time.monotonic()
        yield
        self.say(f"{what}: done in {time.monotonic() - begun:.1f} s")

    def tell(self, event: Event) -> None:
        """Listens to a plan being carried out."""
        self.also(event)
        match event:
            case Said(host=host, text=text):
                self.say(f"{host}: {text}" if host else text)
            case PlanMade(plan=plan, reverting=reverting):
                what = "taking it back" if reverting else "plan"
                hosts = len({step.host for step in plan.steps})
                self.say(self._paint("1", f"{what}: {len(plan.steps)} steps on {hosts} host(s)"))
            case PhaseBegun(name=name, number=number, of=of):
                self._phase = f"[{number}/{of} {name}]"
            case StepBegun():
                pass
            case StepDone(step=step, seconds=seconds):
                self._remember(step.host, type(step).__name__, step.because, seconds, "done")
                self.say(f"{self._phase} {describe(step)}: {seconds:.1f} s")
            case StepFailed(step=step, seconds=seconds, error=error):
                self._remember(step.host, type(step).__name__, step.because, seconds, "failed")
                self.say(
                    self._paint(
                        "31",
                        f"{self._phase} {describe(step)}: failed after {seconds:.1f} s: {error}",
                    )
                )

    def _remember(self, host: str, step: str, because: str, seconds: float, outcome: str) -> None:
        self.steps.append(
            {
                "host": host,
                "step": step,
                "because": because,
                "seconds": round(seconds, 3),
                "outcome": outcome,
            }
        )

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text
