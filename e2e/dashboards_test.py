"""What the dashboards show of a sandbox under known traffic: each panel's query, asked of its own Prometheus."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from e2e.loadgen.load import Load
from e2e.ship import until
from e2e.stack import Stack
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
    stack: Stack, board: str, title: str, query: int = 0
) -> list[tuple[Mapping[str, str], float]]:
    """What a panel shows for the app: each series' labels and its value."""
    expr = PANELS[(board, title)].queries[query].expr
    asked = re.sub(r"\$(host|environment)\b", ".+", expr).replace("$service", "app")
    found = stack.query(asked.replace("$__rate_interval", f"{WINDOW_S}s"))
    return [(each["metric"], float(each["value"][1])) for each in found]


def values(stack: Stack, board: str, title: str) -> list[float]:
    return sorted(value for _, value in shown(stack, board, title))


def test_panels_show_the_traffic_that_is_sent_and_count_what_runs(stack: Stack) -> None:
    release = stack.service()["release"]
    about = pytest.approx(RATE, rel=0.15)
    with Load(stack.url, rate=RATE) as load:
        until(lambda: len(load.report.answers) > RATE * WINDOW_S, within_s=4 * WINDOW_S)
        until(lambda: values(stack, "service", "Requests") == [about], within_s=SHOWN_WITHIN_S)
        by_release = {
            labels["release"]: value
            for labels, value in shown(stack, "service", "Requests by release")
        }
        by_replica = shown(stack, "service", "Requests by replica")
        share = {
            labels["release"]: value
            for labels, value in shown(stack, "rollout", "Traffic by release")
        }
        by_host = shown(stack, "rollout", "Traffic by host")
        failed = values(stack, "service", "Errors")
        slow = values(stack, "service", "Slow requests")
        quick = values(stack, "service", "Latency by release")
    assert not load.report.lost, str(load.report)
    assert by_release[release] == about
    # Each replica is asked for its health, too.
    assert len([value for _, value in by_replica if value > RATE / REPLICAS / 2]) == REPLICAS
    assert share[release] == pytest.approx(1, abs=0.01)
    assert [value for labels, value in by_host if labels["release"] == release] == [about]
    assert failed == [0]
    assert 0 <= slow[0] < 0.2
    assert all(0 < value < 1 for value in quick if value == value)  # no traffic is NaN


def test_panels_count_replicas_hosts_and_what_runs_on_them(stack: Stack) -> None:
    release, hosts = stack.service()["release"], len(stack.environment()["hosts"])
    assert values(stack, "service", "Replicas up") == [REPLICAS]
    up = {
        (labels["release"], labels["track"]): value
        for labels, value in shown(stack, "rollout", "Replicas by release")
    }
    assert up[(release, "stable")] == REPLICAS
    runs = [labels for labels, _ in shown(stack, "rollout", "Running replicas")]
    assert len([each for each in runs if each["release"] == release]) == REPLICAS
    for title in ("Hosts", "Engines", "Edges"):
        assert values(stack, "fleet", title) == [hosts], title
    running = {
        labels["kind"]: value for labels, value in shown(stack, "fleet", "Running containers")
    }
    assert running["replica"] >= REPLICAS


# Nothing of these has happened on a stack that is quiet and young.
NOT_YET = {("service", "Errors by replica"), ("service", "Errors by release")}


def test_no_panel_of_a_service_or_of_hosts_asks_for_what_nobody_tells(stack: Stack) -> None:
    wanted = [
        (key, number)
        for key, panel in PANELS.items()
        if key[0] in ("service", "rollout", "fleet") and key not in NOT_YET
        for number in range(len(panel.queries))
    ]
    empty = [(*key, number) for key, number in wanted if not shown(stack, *key, number)]
    assert empty == []
