"""The four keys of DORA from ledger entries, and metrics in Prometheus' text format."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deploy.core.reports.dora import (
    FourKeys,
    deploy_metrics,
    four_keys,
    key_metrics,
)
from deploy.core.reports.trace_test import LOG
from deploy.core.state.ledger import Entry

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def entry(days_ago: float, verb: str, outcome: str, *, seconds: float = 60.0) -> Entry:
    when = (NOW - timedelta(days=days_ago)).isoformat()
    return Entry(
        turn=1,
        when=when,
        who="ada",
        verb=verb,
        service="app",
        release="r1",
        sequence=1,
        event="ended",
        outcome=outcome,
        revision="abc",
        seconds=seconds,
    )


def keys(*operations: Entry, committed_days_ago: float | None = None) -> FourKeys:
    at = None if committed_days_ago is None else (NOW - timedelta(days=committed_days_ago))
    return four_keys(
        operations,
        now=NOW.isoformat(),
        committed=lambda revision: at.timestamp() if at and revision == "abc" else None,
        days=10,
    )


def test_without_operations_there_is_nothing_to_measure() -> None:
    found = keys()
    assert (found.deploys_per_day, found.failure_share) == (0, 0)
    assert (found.lead_time_s, found.restore_s) == (None, None)


def test_deploys_failures_and_restore_times_are_counted() -> None:
    found = keys(
        entry(40, "deploy", "live"),
        entry(5, "deploy", "live"),
        entry(4, "deploy", "reverted", seconds=30),
        entry(3, "promote", "live"),
        entry(2, "deploy", "live"),
        entry(1, "rollback", "live"),
        entry(1, "scale", "live"),
        entry(0.5, "deploy", "unchanged"),
    )
    assert (found.deploys, found.failed) == (2, 2)
    assert found.deploys_per_day == pytest.approx(0.2)
    assert found.failure_share == pytest.approx(0.5)
    assert found.restore_s == pytest.approx((30 + 86400) / 2)


def test_lead_time_is_from_the_commit_to_live() -> None:
    found = keys(entry(2, "deploy", "live", seconds=60), committed_days_ago=3)
    assert found.lead_time_s == pytest.approx(86400 + 60)


def test_a_rollback_without_a_recent_deploy_is_no_failed_change() -> None:
    assert keys(entry(1, "rollback", "live")).failed == 0


def test_metrics_of_a_rollout() -> None:
    text = deploy_metrics(LOG)
    labels = 'service="app",environment="sandbox",verb="deploy"'
    assert f"ship_deploy_seconds{{{labels}}} 6\n" in text
    assert f'ship_deploy_outcome{{{labels},outcome="reverted"}} 1\n' in text
    assert f'ship_deploy_outcome{{{labels},outcome="live"}} 0\n' in text
    assert f'ship_deploy_phase_seconds{{{labels},phase="prepare"}} 3\n' in text
    assert text.count("# TYPE ship_deploy_seconds gauge") == 1


def test_metrics_of_the_four_keys_omit_unknown_ones() -> None:
    text = key_metrics("app", "prod", FourKeys(10, 5, 1, None, 90.0))
    assert 'ship_dora_deploys_per_day{service="app",environment="prod"} 0.5\n' in text
    assert "ship_dora_restore_seconds" in text
    assert "lead_time" not in text
