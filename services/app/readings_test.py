"""Rates, and readings of this machine."""

import os

import pytest

from app.readings import Totals, rate, read_processes, read_totals, read_usage


@pytest.mark.parametrize(
    ("before", "now", "interval_s", "expected"),
    [(100, 300, 2.0, 100.0), (5, 5, 1.0, 0.0), (300, 100, 1.0, 0.0), (0, 9, 0.0, 0.0)],
)
def test_a_rate_is_per_second_and_never_negative(
    before: int, now: int, interval_s: float, expected: float
) -> None:
    assert rate(before, now, interval_s) == expected


def test_a_reading_covers_the_interval_between_its_totals() -> None:
    now = read_totals()
    reading = read_usage(Totals(now.at_s - 2, 0, 0, 0, 0), now)
    assert reading.interval_s == 2.0
    assert reading.net_sent == rate(0, now.net_sent, 2.0)
    for percent in (reading.cpu, reading.mem, reading.disk):
        assert 0 <= percent <= 100
    assert 0 < reading.mem_used <= reading.mem_total


def test_this_process_is_listed_with_its_usage() -> None:
    this_process = next(process for process in read_processes() if process.pid == os.getpid())
    assert this_process.name
    assert (this_process.num_threads or 0) >= 1
    assert (this_process.memory_percent or 0) > 0
    assert len(this_process.cpu_times or ()) >= 2
