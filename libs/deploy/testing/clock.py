"""Time that passes only when somebody sleeps; never the wall clock."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


class SimulatedClock:
    """A Clock for tests, safe to use from several threads."""

    def __init__(self) -> None:
        self._passed_s = 0.0
        self._lock = threading.Lock()

    def now(self) -> str:
        """UTC in ISO 8601 with seconds."""
        return (BEGINNING + timedelta(seconds=self.monotonic())).isoformat(timespec="seconds")

    def monotonic(self) -> float:
        """Seconds since the simulation began."""
        with self._lock:
            return self._passed_s

    def sleep(self, seconds: float) -> None:
        """Lets time pass at once."""
        with self._lock:
            self._passed_s += seconds
