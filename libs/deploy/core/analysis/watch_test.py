"""The watch's rule: how many failed requests are too many."""

from __future__ import annotations

import pytest

from deploy.core.analysis.samples import RequestStats
from deploy.core.analysis.watch import evaluate_watch


@pytest.mark.parametrize(
    ("requests", "errors", "outcome"),
    [
        (0, 0, "inconclusive"),
        (1, 0, "pass"),
        (1, 1, "pass"),  # a single failure may be chance
        (2, 2, "fail"),
        (3, 2, "fail"),
        (100, 2, "pass"),  # exactly the limit
        (99, 2, "fail"),
        (200, 4, "pass"),
        (200, 5, "fail"),
    ],
)
def test_watch_fails_with_two_failures_or_more_above_the_limit(
    requests: int, errors: int, outcome: str
) -> None:
    found = evaluate_watch("host-1", RequestStats(requests, errors), 0.02, 5.0)
    assert found.outcome == outcome


def test_watch_says_how_many_requests_failed_and_the_limit() -> None:
    found = evaluate_watch("host-1", RequestStats(200, 5), 0.02, 5.2)
    assert found.text == "host-1: 5 of 200 requests failed in 5 s (limit 2.0 %)"
    assert found.figures == {"requests": 200, "errors": 5}
    none = evaluate_watch("host-1", RequestStats(), 0.02, 5.2)
    assert none.text == "host-1: no user requests in 5 s"
