"""A service's own PromQL conditions: their queries made for a release, their answers judged; never asked here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from string import Template

from deploy.core.analysis.verdict import (
    FAIL,
    GOOD,
    INCONCLUSIVE,
    Finding,
)
from deploy.core.config import Condition


def query_of(condition: Condition, *, service: str, release: str, previous: str) -> str:
    """Returns the query with `$service`, `$release` and `$previous` filled in; any other `$` stays."""
    return Template(condition.query).safe_substitute(
        service=service, release=release, previous=previous
    )


def read(condition: Condition, series: Sequence[tuple[Mapping[str, str], float]]) -> Finding:
    """Judges what Prometheus answered: exactly one finite number is an answer, anything else is inconclusive."""
    if len(series) != 1:
        told = f"the query answers {len(series)} series, one is needed"
        return Finding(condition.name, INCONCLUSIVE, told)
    value = series[0][1]
    if not math.isfinite(value):
        return Finding(condition.name, INCONCLUSIVE, f"the query answers {value}: nothing is known")
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("at most", condition.at_most), ("at least", condition.at_least))
        if bound is not None
    ]
    high = condition.at_most is not None and value > condition.at_most
    low = condition.at_least is not None and value < condition.at_least
    told = f"{value:g}, {' and '.join(bounds)}"
    return Finding(condition.name, FAIL if high or low else GOOD, told, {"value": value})


def unread(condition: Condition, why: str) -> Finding:
    """Judges that Prometheus gave no answer."""
    return Finding(condition.name, INCONCLUSIVE, why)
