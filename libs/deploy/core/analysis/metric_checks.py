"""A service's own PromQL conditions: renders their queries and evaluates the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from string import Template

from deploy.core.analysis.verdict import Conclusion, RuleResult
from deploy.core.config import Condition


def render_query(condition: Condition, *, service: str, release: str, previous: str | None) -> str:
    """Returns the query with `$service`, `$release` and `$previous` filled in; any other `$` stays."""
    return Template(condition.query).safe_substitute(
        service=service, release=release, previous=previous or ""
    )


def check(condition: Condition, series: Sequence[tuple[Mapping[str, str], float]]) -> RuleResult:
    """Evaluates an answer of Prometheus. Anything but one finite number is inconclusive."""
    if len(series) != 1:
        return inconclusive(condition, f"the query returned {len(series)} series instead of one")
    value = series[0][1]
    if not math.isfinite(value):
        return inconclusive(condition, f"the query returned {value}, which is no data")
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("at most", condition.at_most), ("at least", condition.at_least))
        if bound is not None
    ]
    high = condition.at_most is not None and value > condition.at_most
    low = condition.at_least is not None and value < condition.at_least
    text = f"{value:g}, {' and '.join(bounds)}"
    outcome = Conclusion.FAIL if high or low else Conclusion.PASS
    return RuleResult(condition.name, outcome, text, {"value": value})


def inconclusive(condition: Condition, why: str) -> RuleResult:
    """Returns the result of a condition without an answer."""
    return RuleResult(condition.name, Conclusion.INCONCLUSIVE, why)
