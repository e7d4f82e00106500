"""What the watchdog decides, check by check."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from watchdog.containers import Container
from watchdog.health import BACKOFF_S, HEALTHY_AFTER_S, HealthRecord
from watchdog.routes import RoutesError, Served, served

LIVE, OLD = "r000002-bbbbbbb", "r000001-aaaaaaa"
UPSTREAMS = [
    {"release": OLD, "servers": ["10.213.0.65:8080"]},
    {"release": LIVE, "servers": ["10.213.0.1:8080", "10.213.0.2:8080"]},
]
EDGE = [
    {"service": "app", "live": LIVE, "upstreams": UPSTREAMS},
    {"service": "new", "live": "", "upstreams": []},
]
ROUTES = f"# py-cicd edge: {json.dumps({'routes': EDGE})}\nupstream app {{}}\n"


def replica(number: int = 1, *, release: str = LIVE, state: str = "running") -> Container:
    labels = {"py-cicd.name": f"app-{number}", "py-cicd.service": "app", "py-cicd.release": release}
    address = f"10.213.0.{number}"
    return Container(
        f"id-{release}-{number}", f"app-{number}", labels, state, False, number, address=address
    )


def stack(name: str, number: int = 1, *, state: str = "exited") -> Container:
    labels = {"py-cicd.name": name, "py-cicd.key": str(number)}
    return Container(f"id-{name}-{number}", f"{name}-{number}", labels, state, False, number)


def actions(health: HealthRecord, now_s: float, *found: Container) -> list[tuple[str, str]]:
    decided = health.decide(served(ROUTES), found, now_s)
    return [(action.verb.value, action.container.name) for action in decided]


def test_the_header_of_the_routes_names_what_is_served() -> None:
    assert served(ROUTES) == {"app": Served(LIVE, frozenset({"10.213.0.1", "10.213.0.2"}))}


@pytest.mark.parametrize(
    "text",
    [
        "upstream app {}",
        "# py-cicd edge: {",
        "# py-cicd edge: []",
        "# py-cicd edge: " + "[" * 100_000,
        '# py-cicd edge: {"routes": [{"live": "r"}]}',
        '# py-cicd edge: {"routes": [7]}',
        '# py-cicd edge: {"format": "x", "routes": []}',
        '# py-cicd edge: {"format": 9, "routes": []}',
    ],
)
def test_routes_without_a_readable_first_line_raise(text: str) -> None:
    with pytest.raises(RoutesError):
        served(text)


def test_no_routes_name_no_service() -> None:
    assert served("") == {}


def test_a_live_replica_that_ended_is_started_once_it_has_settled() -> None:
    health, ended = HealthRecord(), replica(state="exited")
    assert actions(health, 0, ended, replica(2)) == []
    assert actions(health, 1.1, ended, replica(2)) == [("start", "app-1")]


@pytest.mark.parametrize(
    "other",
    [
        replica(release=OLD, state="exited"),
        replica(3, state="exited"),  # of a larger scale: the edge no longer routes to it
        replica(state="created"),
        replica(state="restarting"),
        replica(state="paused"),
        replica(state="removing"),
        stack("watchdog"),
        stack("keeper"),
        stack("somebody's"),
    ],
)
def test_containers_of_a_deploy_or_of_the_engine_are_left_alone(other: Container) -> None:
    health = HealthRecord()
    assert [actions(health, now_s, other) for now_s in (0, 2, 20)] == [[], [], []]


def test_a_replica_of_a_release_that_is_no_longer_live_is_left_alone() -> None:
    health, ended = HealthRecord(), replica(state="exited")
    health.decide(served(ROUTES), [ended], 0)
    assert health.decide(served(ROUTES.replace(LIVE, OLD)), [ended], 5) == []


def test_the_pause_grows_with_each_attempt_on_a_container_that_keeps_ending() -> None:
    health, ended = HealthRecord(), replica(state="exited")
    started = [tenth / 2 for tenth in range(700) if actions(health, tenth / 2, ended)]
    gaps = [after - before for before, after in itertools.pairwise(started)]
    assert gaps[:6] == [*BACKOFF_S[1:7]]


def test_a_container_that_was_healthy_for_a_while_is_started_without_a_pause() -> None:
    health, ended = HealthRecord(), replica(state="exited")
    actions(health, 0, ended)
    assert actions(health, 2, ended)
    healthy = replace(ended, state="running")
    actions(health, 3, healthy)
    actions(health, 4 + HEALTHY_AFTER_S, healthy)
    actions(health, 5 + HEALTHY_AFTER_S, ended)
    assert actions(health, 6.1 + HEALTHY_AFTER_S, ended) == [("start", "app-1")]


def unhealthy(number: int, *, state: str = "running") -> Container:
    return replace(replica(number, state=state), unhealthy=state == "running")


def test_unhealthy_replicas_are_restarted_one_at_a_time() -> None:
    health, both = HealthRecord(), (unhealthy(1), unhealthy(2))
    assert actions(health, 0, *both) == [("restart", "app-1")]
    health.restart_begun(both[0], 0, grace_s=40)
    assert actions(health, 10, *both) == []
    assert actions(health, 11, unhealthy(1, state="exited"), both[1]) == [("start", "app-1")]
    starting = replace(both[0], unhealthy=False, starting=True)
    assert actions(health, 17, starting, both[1]) == []
    assert actions(health, 18, replica(1), both[1]) == [("restart", "app-2")]


def test_one_replica_is_restarted_at_a_time_whatever_its_service() -> None:
    edge = [
        {"service": name, "live": LIVE, "upstreams": [{"release": LIVE, "servers": [f"{address}:80"]}]}
        for name, address in (("app", "10.213.0.1"), ("shop", "10.213.0.2"))
    ]  # fmt: skip
    routes = f"# py-cicd edge: {json.dumps({'routes': edge})}\n"
    shop = replace(unhealthy(2), labels={**unhealthy(2).labels, "py-cicd.service": "shop"})
    decided = HealthRecord().decide(served(routes), [unhealthy(1), shop], 0)
    assert [action.container.name for action in decided] == ["app-1"]


def test_a_replica_that_does_not_end_in_time_is_killed_and_then_started() -> None:
    health, hung = HealthRecord(), unhealthy(1)
    assert actions(health, 0, hung) == [("restart", "app-1")]
    health.restart_begun(hung, 0, grace_s=40)
    assert actions(health, 39, hung) == []
    assert actions(health, 40, hung) == [("kill", "app-1")]
    assert actions(health, 41, hung) == []
    assert actions(health, 42, unhealthy(1, state="exited")) == [("start", "app-1")]


def test_a_replica_that_a_deploy_takes_from_the_users_meanwhile_is_not_started() -> None:
    health, hung = HealthRecord(), unhealthy(1)
    actions(health, 0, hung)
    health.restart_begun(hung, 0, grace_s=40)
    without = ROUTES.replace(LIVE, OLD)
    assert health.decide(served(without), [unhealthy(1, state="exited")], 5) == []
    assert health.restarting == {}


def test_a_replica_that_recovers_is_not_killed() -> None:
    health, hung = HealthRecord(), unhealthy(1)
    actions(health, 0, hung)
    health.restart_begun(hung, 0, grace_s=40)
    assert actions(health, 50, replica(1)) == []


def test_an_edge_is_started_only_if_none_runs_and_then_the_newest() -> None:
    health = HealthRecord()
    both = stack("edge", 1), stack("edge", 2)
    assert actions(health, 0, stack("edge", 1), stack("edge", 2, state="running")) == []
    assert actions(health, 5, stack("edge", 1), stack("edge", 2, state="running")) == []
    assert actions(health, 6, *both) == []
    assert actions(health, 8, *both) == [("start", "edge-2")]


@pytest.mark.parametrize("name", ["metrics", "node", "exporter"])
def test_the_stacks_that_measure_the_host_are_started_too(name: str) -> None:
    health = HealthRecord()
    assert actions(health, 0, stack(name)) == []
    assert actions(health, 2, stack(name)) == [("start", f"{name}-1")]
    assert actions(health, 3, stack(name, state="running")) == []


def test_a_running_stack_does_not_keep_another_from_being_started() -> None:
    health = HealthRecord()
    found = [stack("metrics", state="running"), stack("node", state="running"), stack("exporter")]
    assert actions(health, 0, *found) == []
    assert actions(health, 2, *found) == [("start", "exporter-1")]
