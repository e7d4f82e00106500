"""A clock whose time passes only in `sleep`."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


class OwnLock:
    """A lock that a deep copy of its owner doesn't share."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __deepcopy__(self, memo: object) -> OwnLock:
        return OwnLock()


class SimulatedClock:
    """A Clock for tests, safe to use from several threads."""

    def __init__(self) -> None:
        self._passed_s = 0.0
        self._lock = OwnLock()

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
