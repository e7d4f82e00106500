"""Polls until something holds, with a deadline; never longer, and no further once it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable

from deploy.core.ports import Clock


class StoppedError(Exception):
    """A wait was ended because the whole is to stop; what it waited for is undecided."""


class StoppableClock:
    """A clock whose sleeps end in StoppedError once `stop` is set. Whoever polls by it stops within one pause."""

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        self._clock = clock
        self._stop = stop

    def now(self) -> str:
        """The clock's own."""
        return self._clock.now()

    def monotonic(self) -> float:
        """The clock's own."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleeps. Raises StoppedError before or after, if it is to stop."""
        self._check()
        self._clock.sleep(seconds)
        self._check()

    def _check(self) -> None:
        if self._stop.is_set():
            raise StoppedError("stopped")


def wait_until(
    holds: Callable[[], bool], clock: Clock, *, deadline_s: float, every_s: float = 0.25
) -> bool:
    """Asks until `holds()` is true; returns False when the deadline passed. Always asks at least once."""
    end = clock.monotonic() + deadline_s
    while not holds():
        if clock.monotonic() >= end:
            return False
        clock.sleep(every_s)
    return True
