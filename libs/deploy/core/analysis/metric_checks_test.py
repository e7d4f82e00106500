"""A service's own conditions: what Prometheus may answer, and what each answer comes to."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from deploy.core.analysis.metric_checks import (
    query_of,
    read,
    unread,
)
from deploy.core.config import Condition

MOST = Condition("queue", 'max(q{service="$service",release="$release"})', at_most=5)
RANGE = Condition("hits", "hits", at_most=1, at_least=0.5)


def test_the_query_names_the_releases() -> None:
    asked = query_of(MOST, service="app", release="r2", previous="r1")
    assert asked == 'max(q{service="app",release="r2"})'
    both = Condition("ratio", 'a{release="$release"} / a{release="$previous"} and b =~ "x$"')
    asked = query_of(both, service="app", release="r2", previous="r1")
    assert asked == 'a{release="r2"} / a{release="r1"} and b =~ "x$"'


@pytest.mark.parametrize(
    ("condition", "values", "outcome", "text"),
    [
        (MOST, [5.0], "pass", "5, at most 5"),
        (MOST, [5.1], "fail", "5.1, at most 5"),
        (RANGE, [0.7], "pass", "0.7, at most 1 and at least 0.5"),
        (RANGE, [0.4], "fail", "0.4, at most 1 and at least 0.5"),
        (MOST, [], "inconclusive", "the query answers 0 series, one is needed"),
        (MOST, [1.0, 1.0], "inconclusive", "the query answers 2 series, one is needed"),
        (MOST, [float("nan")], "inconclusive", "the query answers nan: nothing is known"),
        (MOST, [float("inf")], "inconclusive", "the query answers inf: nothing is known"),
    ],
)
def test_only_one_finite_number_is_an_answer(
    condition: Condition, values: Sequence[float], outcome: str, text: str
) -> None:
    found = read(condition, [({}, value) for value in values])
    assert (found.rule, found.outcome, found.text) == (condition.name, outcome, text)


def test_no_answer_is_inconclusive() -> None:
    assert unread(MOST, "Prometheus is down").outcome == "inconclusive"
