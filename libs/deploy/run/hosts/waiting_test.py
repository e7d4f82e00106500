"""Polling until a condition is true, the deadline passes, or the clock is stopped."""

from __future__ import annotations

import threading

import pytest

from deploy.run.hosts.waiting import (
    StoppableClock,
    StoppedError,
    wait_until,
)
from deploy.testing.fleet.clock import SimulatedClock


def test_it_waits_until_the_condition_is_true() -> None:
    clock = SimulatedClock()
    assert wait_until(lambda: clock.monotonic() >= 1, clock, deadline_s=5)
    assert clock.monotonic() == pytest.approx(1)


def test_it_checks_once_even_with_a_deadline_of_zero() -> None:
    answers = iter([False])
    assert not wait_until(lambda: next(answers), SimulatedClock(), deadline_s=0)
    assert next(answers, "checked once") == "checked once"


def test_it_gives_up_at_the_deadline() -> None:
    clock = SimulatedClock()
    assert not wait_until(lambda: False, clock, deadline_s=3, every_s=0.5)
    assert clock.monotonic() == pytest.approx(3)


def test_stopped_clock_ends_the_wait() -> None:
    clock, stop = SimulatedClock(), threading.Event()
    stoppable = StoppableClock(clock, stop)

    def never_true() -> bool:
        if clock.monotonic() >= 1:
            stop.set()
        return False

    with pytest.raises(StoppedError):
        wait_until(never_true, stoppable, deadline_s=60)
    assert clock.monotonic() == pytest.approx(1)
    assert stoppable.now() == clock.now()
