"""Readiness of a replica: starting, ready or draining."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["starting", "ready", "draining"]


@dataclass(frozen=True)
class Readiness:
    """Body of `/readyz`. `waiting_for` lists the names of the conditions that are still false."""

    status: Status
    waiting_for: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return self.status == "ready"


class Lifecycle:
    """Tracks readiness conditions and drain. Every probe calls the conditions, so they must not block."""

    def __init__(self) -> None:
        self._conditions: dict[str, Callable[[], bool]] = {}
        # A plain attribute without a lock: a signal handler sets it, and taking a lock there can deadlock.
        self._draining = False

    def ready_when(self, name: str, condition: Callable[[], bool]) -> None:
        self._conditions[name] = condition

    def begin_drain(self) -> None:
        self._draining = True

    def readiness(self) -> Readiness:
        if self._draining:
            return Readiness("draining")
        waiting_for = tuple(name for name, holds in self._conditions.items() if not holds())
        return Readiness("starting", waiting_for) if waiting_for else Readiness("ready")
