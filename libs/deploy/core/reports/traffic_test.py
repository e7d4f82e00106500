"""Requests over time: intervals, releases, and what doesn't count."""

from __future__ import annotations

from deploy.core.analysis.access_log import Origin, parse_seconds
from deploy.core.reports.trace_test import LOG
from deploy.core.reports.traffic import requests_over_time

OLD, NEW = "app_r000001_abc", "app_r000002_abc"


def test_requests_are_grouped_by_release_and_origin_in_intervals_of_two_seconds() -> None:
    text = (
        f"2026-11-24T04:59:59 users {OLD} 200 10 5\n"
        f"2026-11-24T05:00:00 users {OLD} 200 10 1\n"
        f"2026-11-24T05:00:01 users {OLD} 500 10 2\n"
        f"2026-11-24T05:00:02 users {NEW} 200 10 3\n"
        f"2026-11-24T05:00:02 synthetic {NEW} 500 10 7\n"
        "2026-11-24T05:00:02 users other_r000001_abc 200 10 9\n"
    )
    found = requests_over_time(LOG, parse_seconds(text))
    assert {
        key: [(at, stats.requests, stats.errors) for at, stats in moments]
        for key, moments in found.items()
    } == {
        ("r000001-abc", Origin.USERS): [(-2.0, 5, 0), (0.0, 3, 2)],
        ("r000002-abc", Origin.USERS): [(2.0, 3, 0)],
        ("r000002-abc", Origin.SYNTHETIC): [(2.0, 7, 7)],
    }


def test_lines_of_another_form_are_skipped() -> None:
    assert (
        list(
            parse_seconds(
                "a b c\nx users app 200 1 1\n2026-11-24T05:00:00 users app 2x0 1 1\n2026-11-24T05:00:00 x app 200 1 1\n"
            )
        )
        == []
    )
