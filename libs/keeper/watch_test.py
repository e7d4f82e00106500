"""What the keeper decides, look by look."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from keeper.engine import Container
from keeper.watch import PAUSES_S, WELL_AFTER_S, Served, Watch, served

LIVE, OLD = "r000002-bbbbbbb", "r000001-aaaaaaa"
UPSTREAMS = [
    {"release": OLD, "servers": ["10.213.0.65:8080"]},
    {"release": LIVE, "servers": ["10.213.0.1:8080", "10.213.0.2:8080"]},
]
TOLD = [
    {"service": "app", "live": LIVE, "upstreams": UPSTREAMS},
    {"service": "new", "live": "", "upstreams": []},
]
ROUTES = f"# py-cicd edge: {json.dumps({'routes': TOLD})}\nupstream app {{}}\n"


def replica(number: int = 1, *, release: str = LIVE, state: str = "running") -> Container:
    labels = {"py-cicd.name": f"app-{number}", "py-cicd.service": "app", "py-cicd.release": release}
    address = f"10.213.0.{number}"
    return Container(
        f"id-{release}-{number}", f"app-{number}", labels, state, False, number, address=address
    )


def part(name: str, number: int = 1, *, state: str = "exited") -> Container:
    labels = {"py-cicd.name": name, "py-cicd.key": str(number)}
    return Container(f"id-{name}-{number}", f"{name}-{number}", labels, state, False, number)


def acts(watch: Watch, now_s: float, *found: Container) -> list[tuple[str, str]]:
    return [(act.verb, act.container.name) for act in watch.judge(ROUTES, found, now_s)]


def test_what_is_served_is_what_the_edge_s_text_says() -> None:
    assert served(ROUTES) == {"app": Served(LIVE, frozenset({"10.213.0.1", "10.213.0.2"}))}


@pytest.mark.parametrize("text", ["", "upstream app {}", "# py-cicd edge: {", "# py-cicd edge: []"])
def test_a_text_by_hand_or_a_torn_one_names_none(text: str) -> None:
    assert served(text) == {}


def test_a_live_replica_that_ended_is_started_once_that_is_settled() -> None:
    watch, gone = Watch(), replica(state="exited")
    assert acts(watch, 0, gone, replica(2)) == []
    assert acts(watch, 1.1, gone, replica(2)) == [("start", "app-1")]


@pytest.mark.parametrize(
    "other",
    [
        replica(release=OLD, state="exited"),
        replica(3, state="exited"),  # of a larger scale: the edge knows it no longer
        replica(state="created"),
        replica(state="restarting"),
        replica(state="paused"),
        replica(state="removing"),
        part("keeper"),
        part("somebody's"),
    ],
)
def test_what_is_a_deploy_s_or_the_engine_s_is_left_alone(other: Container) -> None:
    watch = Watch()
    assert [acts(watch, now_s, other) for now_s in (0, 2, 20)] == [[], [], []]


def test_a_replica_of_a_release_that_is_live_no_longer_is_let_go() -> None:
    watch, gone = Watch(), replica(state="exited")
    watch.judge(ROUTES, [gone], 0)
    assert watch.judge(ROUTES.replace(LIVE, OLD), [gone], 5) == []


def test_what_ends_again_and_again_is_left_alone_for_longer_each_time() -> None:
    watch, gone = Watch(), replica(state="exited")
    started = [tenth / 2 for tenth in range(700) if acts(watch, tenth / 2, gone)]
    gaps = [after - before for before, after in itertools.pairwise(started)]
    assert gaps[:6] == [*PAUSES_S[1:7]]


def test_what_was_well_for_a_while_is_brought_back_at_once() -> None:
    watch, gone = Watch(), replica(state="exited")
    acts(watch, 0, gone)
    assert acts(watch, 2, gone)
    well = replace(gone, state="running")
    acts(watch, 3, well)
    acts(watch, 4 + WELL_AFTER_S, well)
    acts(watch, 5 + WELL_AFTER_S, gone)
    assert acts(watch, 6.1 + WELL_AFTER_S, gone) == [("start", "app-1")]


def test_unhealthy_replicas_are_restarted_one_at_a_time() -> None:
    watch = Watch()
    sick = [replace(replica(number), unhealthy=True) for number in (1, 2)]
    assert acts(watch, 0, *sick) == [("restart", "app-1")]
    assert acts(watch, 1, *sick) == []
    starts = replace(sick[0], unhealthy=False, starting=True)
    assert acts(watch, 6, starts, sick[1]) == []
    assert acts(watch, 7, *sick) == [("restart", "app-2")]
    assert acts(watch, 11, *sick) == []
    assert acts(watch, 12, *sick) == [("restart", "app-1")]


def test_an_edge_is_started_only_where_none_runs_and_then_the_newest() -> None:
    watch = Watch()
    both = part("edge", 1), part("edge", 2)
    assert acts(watch, 0, part("edge", 1), part("edge", 2, state="running")) == []
    assert acts(watch, 5, part("edge", 1), part("edge", 2, state="running")) == []
    assert acts(watch, 6, *both) == []
    assert acts(watch, 8, *both) == [("start", "edge-2")]


@pytest.mark.parametrize("name", ["metrics", "node", "exporter"])
def test_what_measures_the_host_is_started_too(name: str) -> None:
    watch = Watch()
    assert acts(watch, 0, part(name)) == []
    assert acts(watch, 2, part(name)) == [("start", f"{name}-1")]
    assert acts(watch, 3, part(name, state="running")) == []


def test_one_part_that_runs_stands_for_no_other() -> None:
    watch = Watch()
    found = [part("metrics", state="running"), part("node", state="running"), part("exporter")]
    assert acts(watch, 0, *found) == []
    assert acts(watch, 2, *found) == [("start", "exporter-1")]
