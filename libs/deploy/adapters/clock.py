"""The machine's clock; never used to order releases (the host's ledger does that)."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Clock over the standard library."""

    def now(self) -> str:
        """Returns UTC in ISO 8601 with seconds."""
        return datetime.now(UTC).isoformat(timespec="seconds")

    def monotonic(self) -> float:
        """Returns seconds since some fixed moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)
