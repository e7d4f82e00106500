"""Rates and looks."""

import os

import pytest

from app.readings import Totals, rate, read_machine, read_processes, read_totals


@pytest.mark.parametrize(
    ("before", "now", "interval_s", "expected"),
    [(100, 300, 2.0, 100.0), (5, 5, 1.0, 0.0), (300, 100, 1.0, 0.0), (0, 9, 0.0, 0.0)],
)
def test_a_rate_is_per_second(before: int, now: int, interval_s: float, expected: float) -> None:
    assert rate(before, now, interval_s) == expected


def test_a_reading_states_its_interval() -> None:
    now = read_totals()
    reading = read_machine(Totals(now.at_s - 2, 0, 0, 0, 0), now)
    assert reading.interval_s == 2.0
    assert reading.net_sent == rate(0, now.net_sent, 2.0)
    for percent in (reading.cpu, reading.mem, reading.disk):
        assert 0 <= percent <= 100
    assert 0 < reading.mem_used <= reading.mem_total


def test_this_process_is_among_the_processes() -> None:
    mine = next(process for process in read_processes() if process.pid == os.getpid())
    assert mine.name
    assert (mine.num_threads or 0) >= 1
    assert (mine.memory_percent or 0) > 0
    assert len(mine.cpu_times or ()) >= 2
