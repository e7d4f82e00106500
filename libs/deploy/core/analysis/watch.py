"""Evaluates how a live release answered its users on one host while it was watched."""

from __future__ import annotations

from deploy.core.analysis.samples import RequestStats
from deploy.core.analysis.verdict import Conclusion, RuleResult, percent

FEWEST_FAILURES = 2
"""A single failed request may be chance, however few requests there were."""


def evaluate_watch(
    host: str, users: RequestStats, max_error_share: float, watched_s: float
) -> RuleResult:
    """Returns "fail" if more users' requests failed than allowed, "inconclusive" if there were none."""
    figures = {"requests": float(users.requests), "errors": float(users.errors)}
    if not users.requests:
        text = f"{host}: no user requests in {watched_s:.0f} s"
        return RuleResult("watch", Conclusion.INCONCLUSIVE, text, figures)
    text = (
        f"{host}: {users.errors} of {users.requests} requests failed in {watched_s:.0f} s "
        f"(limit {percent(max_error_share)})"
    )
    failed = users.errors >= FEWEST_FAILURES and users.error_share > max_error_share
    return RuleResult("watch", Conclusion.FAIL if failed else Conclusion.PASS, text, figures)
