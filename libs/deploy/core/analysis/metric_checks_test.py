"""A service's own conditions: their queries, and the outcome of every kind of answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from deploy.core.analysis.metric_checks import check, inconclusive, render_query
from deploy.core.config import Condition

MOST = Condition("queue", 'max(q{service="$service",release="$release"})', at_most=5)
RANGE = Condition("hits", "hits", at_most=1, at_least=0.5)


def test_queries_name_the_releases() -> None:
    query = render_query(MOST, service="app", release="r2", previous="r1")
    assert query == 'max(q{service="app",release="r2"})'
    both = Condition("ratio", 'a{release="$release"} / a{release="$previous"} and b =~ "x$"')
    query = render_query(both, service="app", release="r2", previous="r1")
    assert query == 'a{release="r2"} / a{release="r1"} and b =~ "x$"'


@pytest.mark.parametrize(
    ("condition", "values", "outcome", "text"),
    [
        (MOST, [5.0], "pass", "5, at most 5"),
        (MOST, [5.1], "fail", "5.1, at most 5"),
        (RANGE, [0.7], "pass", "0.7, at most 1 and at least 0.5"),
        (RANGE, [0.4], "fail", "0.4, at most 1 and at least 0.5"),
        (MOST, [], "inconclusive", "the query returned 0 series instead of one"),
        (MOST, [1.0, 1.0], "inconclusive", "the query returned 2 series instead of one"),
        (MOST, [float("nan")], "inconclusive", "the query returned nan, which is no data"),
        (MOST, [float("inf")], "inconclusive", "the query returned inf, which is no data"),
    ],
)
def test_only_one_finite_number_is_conclusive(
    condition: Condition, values: Sequence[float], outcome: str, text: str
) -> None:
    found = check(condition, [({}, value) for value in values])
    assert (found.rule, found.outcome, found.text) == (condition.name, outcome, text)


def test_a_query_of_a_first_release_has_no_previous_one() -> None:
    both = Condition("ratio", 'a{release="$previous"}')
    assert render_query(both, service="app", release="r1", previous=None) == 'a{release=""}'


def test_a_condition_without_an_answer_is_inconclusive() -> None:
    assert inconclusive(MOST, "Prometheus is down").outcome == "inconclusive"
