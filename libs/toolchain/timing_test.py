"""Tests of the lines about the time of `ship test`."""

from __future__ import annotations

import itertools

import pytest

from toolchain.reports import TestTime
from toolchain.timing import Phase, Stopwatch, render_times


def test_phases_and_the_slowest_tests_are_listed() -> None:
    watch = Stopwatch(phases=[Phase("set-up", 0, 1), Phase("tests", 1, 200.4)])
    slowest = [TestTime("a_test::slow", 61.25), TestTime("b_test::quick", 0.5)]
    assert render_times(watch, slowest) == [
        "time: 3 min 20 s (set-up 1 s, tests 3 min 19 s)",
        "slowest 2 tests:",
        "    61.2 s  a_test::slow",
        "     0.5 s  b_test::quick",
    ]


def test_phases_that_overlap_are_said_to() -> None:
    watch = Stopwatch(phases=[Phase("integration tests", 2, 100), Phase("tests", 2, 60)])
    assert (
        render_times(watch, [])[0] == "time: 1 min 38 s (integration tests 1 min 38 s, tests 58 s)"
    )
    assert "side by side" in render_times(watch, [])[1]


def test_the_common_part_of_a_phase_counts_once() -> None:
    watch = Stopwatch(
        phases=[Phase("a", 0, 10), Phase("a", 5, 8), Phase("a", 9, 12), Phase("a", 20, 21)]
    )
    assert (watch.seconds, watch.total_s) == ({"a": 13}, 21)


def test_a_phase_that_raises_is_measured() -> None:
    ticks = itertools.count(10)
    watch = Stopwatch(clock=lambda: float(next(ticks)))
    with pytest.raises(KeyError), watch.phase("a"):
        raise KeyError
    assert watch.seconds == {"a": 1}


def test_nothing_is_printed_about_nothing() -> None:
    assert render_times(Stopwatch(), []) == []
    assert Stopwatch().total_s == 0
