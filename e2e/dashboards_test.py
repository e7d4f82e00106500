"""Runs the queries of the dashboards' panels in a sandbox's Prometheus, under traffic of a known rate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

import pytest

from e2e.live_sandbox import LiveSandbox
from e2e.loadgen.process import running_gets
from e2e.ship import until
from observability.dashboard_definitions import DASHBOARDS

RATE = 20.0
WINDOW_S = 45
SHOWN_WITHIN_S = 60.0
PANELS = {
    (dashboard.uid.removeprefix("py-cicd-"), panel.title): panel
    for dashboard in DASHBOARDS
    for panel in dashboard.panels
}
REPLICAS = 5


def shown(
    sandbox: LiveSandbox, board: str, title: str, query: int = 0
) -> list[tuple[Mapping[str, str], float]]:
    """Returns what a panel shows for the app: the labels and the value of each series."""
    expr = PANELS[(board, title)].queries[query].expr
    expr = re.sub(r"\$(host|environment)\b", ".+", expr).replace("$service", "app")
    found = sandbox.query(expr.replace("$__rate_interval", f"{WINDOW_S}s"))
    return [(series["metric"], float(series["value"][1])) for series in found]


def values(sandbox: LiveSandbox, board: str, title: str) -> list[float]:
    return sorted(value for _, value in shown(sandbox, board, title))


def test_panels_show_the_traffic_that_is_sent(sandbox: LiveSandbox) -> None:
    release = sandbox.service()["release"]
    about = pytest.approx(RATE, rel=0.15)
    with running_gets(sandbox.url, rate=RATE) as load:
        load.await_rows(int(RATE * WINDOW_S) + 1, within_s=4 * WINDOW_S)
        until(lambda: values(sandbox, "service", "Requests") == [about], within_s=SHOWN_WITHIN_S)
        by_release = {
            labels["release"]: value
            for labels, value in shown(sandbox, "service", "Requests by release")
        }
        by_replica = shown(sandbox, "service", "Requests by replica")
        share = {
            labels["release"]: value
            for labels, value in shown(sandbox, "rollout", "Traffic by release")
        }
        by_host = shown(sandbox, "rollout", "Traffic by host")
        failed = values(sandbox, "service", "Errors")
        slow = values(sandbox, "service", "Slow requests")
        latencies = values(sandbox, "service", "Latency by release")
    assert not load.record.lost, str(load.record)
    assert by_release[release] == about
    # Health checks count as requests of each replica as well.
    assert len([value for _, value in by_replica if value > RATE / REPLICAS / 2]) == REPLICAS
    assert share[release] == pytest.approx(1, abs=0.01)
    assert [value for labels, value in by_host if labels["release"] == release] == [about]
    assert failed == [0]
    assert 0 <= slow[0] < 0.2
    assert all(0 < value < 1 for value in latencies if value == value)  # no traffic is NaN


def test_panels_count_hosts_replicas_and_containers(sandbox: LiveSandbox) -> None:
    release, hosts = sandbox.service()["release"], len(sandbox.environment()["hosts"])
    assert values(sandbox, "service", "Replicas up") == [REPLICAS]
    up = {
        (labels["release"], labels["track"]): value
        for labels, value in shown(sandbox, "rollout", "Replicas by release")
    }
    assert up[(release, "stable")] == REPLICAS
    runs = [labels for labels, _ in shown(sandbox, "rollout", "Running replicas")]
    assert len([labels for labels in runs if labels["release"] == release]) == REPLICAS
    for title in ("Hosts", "Engines", "Edges"):
        assert values(sandbox, "fleet", title) == [hosts], title
    running = {
        labels["kind"]: value for labels, value in shown(sandbox, "fleet", "Running containers")
    }
    assert running["replica"] >= REPLICAS


def test_every_panel_has_data_after_ship_up_or_says_that_none_is_good(
    sandbox: LiveSandbox,
) -> None:
    def empty() -> list[tuple[str, str, int]]:
        return [
            (*key, number)
            for key, panel in PANELS.items()
            if not panel.may_be_empty
            for number in range(len(panel.queries))
            if not shown(sandbox, *key, number)
        ]

    # Rules are evaluated and pushed results are scraped a little later.
    with suppress(AssertionError):
        until(lambda: not empty(), within_s=SHOWN_WITHIN_S)
    assert empty() == []
