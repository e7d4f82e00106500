"""The clock of this machine. Releases are ordered by sequence numbers in the ledger, not by time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """A Clock over the standard library."""

    def now(self) -> str:
        """Returns the UTC time in ISO 8601, to the second."""
        return datetime.now(UTC).isoformat(timespec="seconds")

    def monotonic(self) -> float:
        """Returns seconds since an arbitrary point in time."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleeps."""
        time.sleep(seconds)
