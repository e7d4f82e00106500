"""Polls until a condition is true, with a deadline and a way to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable

from deploy.core.ports import Clock


class StoppedError(Exception):
    """A wait was stopped before its condition was decided."""


class StoppableClock:
    """A clock whose sleeps raise StoppedError once `stop` is set, so that polling with it stops within one pause."""

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        self._clock = clock
        self._stop = stop

    def now(self) -> str:
        """Returns the wrapped clock's time."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Returns the wrapped clock's monotonic time."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleeps. Raises StoppedError if `stop` is set before or after."""
        self._check()
        self._clock.sleep(seconds)
        self._check()

    def _check(self) -> None:
        if self._stop.is_set():
            raise StoppedError("stopped")


def wait_until(
    condition: Callable[[], bool], clock: Clock, *, deadline_s: float, every_s: float = 0.25
) -> bool:
    """Returns True as soon as `condition()` is true, False after `deadline_s`. Checks at least once."""
    end = clock.monotonic() + deadline_s
    while not condition():
        if clock.monotonic() >= end:
            return False
        clock.sleep(every_s)
    return True
