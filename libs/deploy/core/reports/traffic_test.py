"""Requests over time: intervals, releases, and what doesn't count."""

from __future__ import annotations

from deploy.core.analysis.access_log import parse_seconds
from deploy.core.reports.trace_test import LOG
from deploy.core.reports.traffic import requests_over_time

OLD, NEW = "app_r000001_abc", "app_r000002_abc"


def test_requests_are_grouped_by_release_in_intervals_of_two_seconds() -> None:
    text = (
        f"2026-11-24T04:59:59 {OLD} 200 10 5\n"
        f"2026-11-24T05:00:00 {OLD} 200 10 1\n"
        f"2026-11-24T05:00:01 {OLD} 500 10 2\n"
        f"2026-11-24T05:00:02 {NEW} 200 10 3\n"
        "2026-11-24T05:00:02 other_r000001_abc 200 10 9\n"
    )
    found = requests_over_time(LOG, parse_seconds(text))
    assert {
        release: [(at, stats.requests, stats.errors) for at, stats in moments]
        for release, moments in found.items()
    } == {"r000001-abc": [(-2.0, 5, 0), (0.0, 3, 2)], "r000002-abc": [(2.0, 3, 0)]}


def test_lines_of_another_form_are_skipped() -> None:
    assert list(parse_seconds("a b c\nx app 200 1 1\n2026-11-24T05:00:00 app 2x0 1 1\n\n")) == []
