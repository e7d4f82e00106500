"""What can go wrong between a deployer and its hosts, and when; never goes wrong by itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Killed(BaseException):
    """The deployer was killed: nothing of it runs on, no clean-up either."""


class How(Enum):
    """How a touch of a host goes wrong."""

    FAILS_ONCE = "fails once"
    FAILS = "fails"
    HALF = "half"
    GONE = "gone"
    KILLED = "killed"


@dataclass
class Fault:
    """The `nth` touch of `host` (from 1, since it was armed) goes wrong, `after` its effect or before.

    FAILS goes on for as long as the fault is armed, GONE and KILLED for ever.
    """

    host: str
    nth: int
    how: How
    after: bool = False
    armed: bool = True
    touched: int = 0

    def count(self, host: str) -> bool:
        """Counts a touch; returns whether this one goes wrong."""
        if not self.armed or host != self.host:
            return False
        self.touched += 1
        if self.how is How.FAILS:
            return self.touched >= self.nth
        return self.touched == self.nth

    @property
    def hit(self) -> bool:
        """True if it came to pass."""
        return self.touched >= self.nth
