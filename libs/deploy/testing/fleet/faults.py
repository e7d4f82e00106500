"""Faults that a test injects between the deploy tool and a simulated host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Killed(BaseException):
    """The deploy tool was killed: nothing of it runs any more, not even its clean-up."""


class FaultKind(Enum):
    """What happens to a call of a host, instead of its effect."""

    FAILS_ONCE = "fails once"
    FAILS = "fails"
    HALF = "half"
    GONE = "gone"
    KILLED = "killed"


@dataclass
class Fault:
    """Makes the `nth` call of `host` fail, counted from 1 while armed, before its effect or `after` it.

    With FAILS, later calls fail too while the fault is armed. GONE and KILLED last for ever.
    """

    host: str
    nth: int
    kind: FaultKind
    after: bool = False
    armed: bool = True
    calls: int = 0

    def count(self, host: str) -> bool:
        """Counts a call. Returns whether this one fails."""
        if not self.armed or host != self.host:
            return False
        self.calls += 1
        if self.kind is FaultKind.FAILS:
            return self.calls >= self.nth
        return self.calls == self.nth

    @property
    def hit(self) -> bool:
        """Whether the fault has happened."""
        return self.calls >= self.nth
