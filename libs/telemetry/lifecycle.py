"""Whether a replica wants traffic: starting, ready or draining; it never stops anything itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Phase = Literal["starting", "ready", "draining"]


@dataclass(frozen=True)
class Readiness:
    """`waiting_for` names the conditions that don't hold yet."""

    phase: Phase
    waiting_for: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return self.phase == "ready"


class Lifecycle:
    """Conditions are asked on every probe, so they answer at once."""

    def __init__(self) -> None:
        self._conditions: dict[str, Callable[[], bool]] = {}
        # A plain attribute: it is set in a signal handler, where taking a lock can deadlock.
        self._draining = False

    def ready_when(self, name: str, condition: Callable[[], bool]) -> None:
        self._conditions[name] = condition

    def begin_drain(self) -> None:
        self._draining = True

    def judge(self) -> Readiness:
        if self._draining:
            return Readiness("draining")
        waiting_for = tuple(name for name, holds in self._conditions.items() if not holds())
        return Readiness("starting", waiting_for) if waiting_for else Readiness("ready")
