"""Tests of the system clock and the simulated clock."""

from __future__ import annotations

from datetime import UTC, datetime

from deploy.adapters.clock import SystemClock
from deploy.core.ports import Clock
from deploy.testing.fleet.clock import SimulatedClock


def test_system_clock_returns_utc_to_the_second() -> None:
    clock: Clock = SystemClock()
    now = datetime.fromisoformat(clock.now())
    assert now.utcoffset() is not None
    assert abs((datetime.now(UTC) - now).total_seconds()) < 5
    assert len(clock.now()) == len("2026-01-01T00:00:00+00:00")
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() >= before + 0.01


def test_simulated_clock_advances_by_sleeping() -> None:
    clock: Clock = SimulatedClock()
    before, start = datetime.fromisoformat(clock.now()), clock.monotonic()
    clock.sleep(90.5)
    assert clock.monotonic() == start + 90.5
    assert (datetime.fromisoformat(clock.now()) - before).total_seconds() in {90, 91}
