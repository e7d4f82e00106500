"""Measures the phases of `ship test` and renders where its time went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from toolchain.reports import TestTime

SLOWEST = 20


@dataclass(frozen=True)
class Phase:
    """A part of a run: its name and its begin and end, in seconds of a monotonic clock."""

    name: str
    begun_s: float
    ended_s: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended_s - self.begun_s


@dataclass(frozen=True)
class Stopwatch:
    """Collects phases, which may overlap."""

    clock: Callable[[], float] = time.monotonic
    phases: list[Phase] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measures the context as one phase, also if it raises. Threads may measure side by side."""
        begun = self.clock()
        try:
            yield
        finally:
            self.phases.append(Phase(name, begun, self.clock()))

    @property
    def seconds(self) -> dict[str, float]:
        """The wall-clock seconds of each phase by name, in the order of their begins.

        Of phases with one name that overlap, the common part counts once.
        """
        found: dict[str, float] = {}
        covered: dict[str, float] = {}
        for phase in sorted(self.phases, key=lambda phase: phase.begun_s):
            begun = max(phase.begun_s, covered.get(phase.name, phase.begun_s))
            found[phase.name] = found.get(phase.name, 0.0) + max(0.0, phase.ended_s - begun)
            covered[phase.name] = max(phase.ended_s, begun)
        return {name: round(seconds, 1) for name, seconds in found.items()}

    @property
    def total_s(self) -> float:
        """The seconds from the first begin to the last end."""
        if not self.phases:
            return 0.0
        begun = min(phase.begun_s for phase in self.phases)
        return round(max(phase.ended_s for phase in self.phases) - begun, 1)


def render_times(watch: Stopwatch, slowest: Sequence[TestTime]) -> list[str]:
    """Returns the lines about the time: the phases, then the slowest tests.

    A unit test whose result Pants had shows the seconds of the run that made it.
    """
    phases = ", ".join(f"{name} {_text(seconds)}" for name, seconds in watch.seconds.items())
    lines = [f"time: {_text(watch.total_s)} ({phases})"] if phases else []
    if sum(watch.seconds.values()) > watch.total_s + 1:
        lines.append("some phases ran side by side, so they add up to more")
    if slowest:
        lines.append(f"slowest {len(slowest)} tests:")
        lines += [f"{each.seconds:8.1f} s  {each.name}" for each in slowest]
    return lines


def _text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
