"""A release judged on simulated hosts: thin and thick traffic, bad releases, Prometheus in every state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from deploy.core.analysis.access_log import VERIFYING
from deploy.core.analysis.verdict import Verdict
from deploy.core.config import Condition, Gate
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.edge import EdgeRoute, EdgeState
from deploy.core.state.release import Release, make_release
from deploy.errors import GateError
from deploy.run.steps.analyse import (
    AnalysisContext,
    Comparison,
    judge_release,
)
from deploy.testing.factories import (
    ORIGIN,
    image,
    service,
)
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import PREVIEW_PORT, MemoryHost
from deploy.testing.fleet.nginx import Nginx
from deploy.testing.servers.prometheus import MemoryMetrics, Series

OLD, NEW = (
    make_release(service(), image(label), number, "", ORIGIN, subnet="10.213.0.0/16")
    for number, label in enumerate(("old", "new"), 1)
)
QUEUE = Condition("queue", 'queue{release="$release"}', at_most=5)
ASKED = f'queue{{release="{NEW.id}"}}'


class Scene:
    """Hosts on which both releases run, the old one live or, if `switched`, the new one."""

    def __init__(
        self, *, bad: ContainerBehaviour | None = None, switched: bool = False, hosts: int = 1
    ) -> None:
        names = [f"host-{number}" for number in range(1, hosts + 1)]
        self.fleet = Fleet.of(*names)
        self.metrics = MemoryMetrics()
        self.said: list[str] = []
        self.switched = switched
        for host in self.fleet.hosts:
            host.engine.network = True
            host.engine.images |= {OLD.image, NEW.image}
            host.engine.behaviours[NEW.image] = bad or ContainerBehaviour()
            route = EdgeRoute("app", "/", "", OLD.id, "", (OLD.upstream,)).offer(NEW.upstream)
            route = route.point(NEW.id) if switched else route
            for release in (OLD, NEW):
                host.engine.up(release.compose, release.image, release.project, 0.0)
            host.edges = [
                Nginx.started(render_edge(EdgeState((route,)), preview_port=PREVIEW_PORT))
            ]
        self.fleet.clock.sleep(10)

    def users(self, requests: int, host: MemoryHost | None = None) -> None:
        for _ in range(requests):
            (host or self.fleet.hosts[0]).answer(80, "", "/")

    def point(self, release: Release) -> None:
        for host in self.fleet.hosts:
            route = EdgeRoute("app", "/", "", release.id, "", (OLD.upstream, NEW.upstream))
            host.edges = [
                Nginx.started(render_edge(EdgeState((route,)), preview_port=PREVIEW_PORT))
            ]

    def judge(
        self,
        gate: Gate | None = None,
        *,
        previous: Release | None = OLD,
        metrics: bool = True,
    ) -> Verdict:
        case = Comparison(
            hosts=self.fleet.hosts,
            service=replace(service(), gate=gate or Gate()),
            release=NEW,
            previous=previous,
            preview_port=PREVIEW_PORT,
            before_switch=not self.switched,
        )
        told = self.metrics if metrics else None
        return judge_release(case, AnalysisContext(told, self.fleet.clock, self.said.append))

    def refused(self, gate: Gate | None = None, *, metrics: bool = True) -> GateError:
        with pytest.raises(GateError) as caught:
            self.judge(gate, metrics=metrics)
        return caught.value


def requests(scene: Scene) -> dict[str, int]:
    found: dict[str, int] = {}
    for host in scene.fleet.hosts:
        for each in host.log.requests:
            if each.request_id == VERIFYING:
                continue  # a warm-up
            kind = "synthetic" if each.request_id else "users"
            found[kind] = found.get(kind, 0) + 1
    return found


def test_without_a_user_both_are_asked_alike_and_a_healthy_one_passes() -> None:
    scene = Scene()
    told = scene.judge()
    assert (told.outcome, told.basis, told.look) == ("pass", "synthetic", 1)
    assert requests(scene) == {"synthetic": 600}
    by_upstream = {each.upstream for each in scene.fleet.hosts[0].log.requests}
    assert len(by_upstream) == 2
    assert "users' requests are too few: 300 + 300 GETs are sent to both releases" in scene.said


def test_requests_are_shared_among_hosts() -> None:
    scene = Scene(hosts=3)
    scene.judge()
    sent = [
        sum(each.request_id != VERIFYING for each in host.log.requests)
        for host in scene.fleet.hosts
    ]
    assert sent == [200, 200, 200]


def test_five_errors_in_a_hundred_are_refused_without_a_single_user() -> None:
    scene = Scene(bad=ContainerBehaviour(fails_every=20))
    error = scene.refused()
    assert not error.holds
    assert "errors:" in error.message
    assert "against 0 of 300" in error.message
    assert f"\n  log: {NEW.names[0]} printed its last line" in error.message
    assert error.hint == f"./ship report app {NEW.id} shows the evidence"
    assert requests(scene)["synthetic"] >= 600


@pytest.mark.parametrize(
    ("policy", "switched", "holds"),
    [("rollback", False, False), ("hold", False, True), ("hold", True, False)],
)
def test_sixty_milliseconds_more_end_as_the_policy_says(
    policy: str, switched: bool, holds: bool
) -> None:
    scene = Scene(bad=ContainerBehaviour(answers_in_s=0.08), switched=switched)
    error = scene.refused(Gate(on_slower=policy))
    assert "latency: median" in error.message
    assert error.holds is holds


def test_slower_goes_on_where_the_policy_says_so() -> None:
    scene = Scene(bad=ContainerBehaviour(answers_in_s=0.08))
    assert scene.judge(Gate(on_slower="continue")).outcome == "fail"


def test_users_are_the_evidence_where_there_are_enough_of_them() -> None:
    scene = Scene(switched=True)
    scene.point(OLD)
    scene.users(400)
    scene.point(NEW)
    scene.users(400)
    told = scene.judge()
    assert (told.outcome, told.basis) == ("pass", "users")
    assert requests(scene) == {"users": 800}


def test_the_old_releases_last_minutes_count_and_nothing_before_them() -> None:
    scene = Scene(switched=True)
    scene.point(OLD)
    scene.users(400)
    scene.fleet.clock.sleep(400)
    scene.point(NEW)
    scene.users(400)
    assert scene.judge().basis == "synthetic"


def test_a_few_users_that_meet_gross_errors_stop_it_whatever_the_synthetic_ones_met() -> None:
    scene = Scene(bad=ContainerBehaviour(fails_every=2), switched=True)
    scene.users(40)
    assert "gross errors" in scene.refused().message


def test_no_paths_and_no_users_is_no_pass() -> None:
    scene = Scene()
    error = scene.refused(Gate(paths=()))
    assert "data: 0 requests to the new release, 0 to the old one; 300 are needed" in error.message
    assert [line for line in scene.said if line.startswith("look")] == [
        f"look {n}, by synthetic requests: inconclusive" for n in (1, 2, 3)
    ]
    assert Scene().judge(Gate(paths=(), on_unclear="continue")).outcome == "inconclusive"
    assert Scene().refused(Gate(paths=(), on_unclear="hold")).holds


def test_a_first_release_is_judged_by_the_floor() -> None:
    scene = Scene()
    assert scene.judge(previous=None).outcome == "pass"
    assert requests(scene) == {"synthetic": 300}


def test_an_edge_that_logs_nothing_is_no_pass() -> None:
    scene = Scene()
    for host in scene.fleet.hosts:
        host.edges = []
    assert "300 are needed" in scene.refused().message


@pytest.mark.parametrize("off_s", [300.0, -300.0])
def test_a_host_whose_clock_is_five_minutes_off_is_judged_all_the_same(off_s: float) -> None:
    scene = Scene(hosts=2, switched=True)
    scene.fleet.hosts[1].log.clock_off_s = off_s
    scene.point(OLD)
    for host in scene.fleet.hosts:
        scene.users(200, host)
    scene.point(NEW)
    for host in scene.fleet.hosts:
        scene.users(200, host)
    told = scene.judge()
    assert (told.outcome, told.basis) == ("pass", "users")
    assert told.findings[0].text == "400 requests to the new release, 400 to the old one"


def _answers(*values: float) -> Callable[[MemoryMetrics], None]:
    return lambda metrics: metrics.answer(ASKED, [({"n": str(v)}, v) for v in values])


def _breaks(metrics: MemoryMetrics) -> None:
    metrics.broken = "connection refused"


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (_answers(9), "queue: 9, at most 5"),
        (_answers(), "queue: Prometheus can't answer"),
        (_answers(float("nan")), f"queue: Prometheus can't answer `{ASKED}`: a value is nan"),
        (_answers(1, 2), "queue: the query answers 2 series, one is needed"),
        (_breaks, "queue: Prometheus can't answer: connection refused"),
    ],
    ids=["above", "no series", "NaN", "several series", "down"],
)
def test_a_condition_that_does_not_hold_or_can_not_be_read_is_no_pass(
    prepare: Callable[[MemoryMetrics], None], text: str
) -> None:
    scene = Scene()
    prepare(scene.metrics)
    assert text in scene.refused(Gate(conditions=(QUEUE,))).message


def test_a_condition_that_holds_passes_and_names_the_release() -> None:
    scene = Scene()
    _answers(5)(scene.metrics)
    assert scene.judge(Gate(conditions=(QUEUE,))).outcome == "pass"
    assert scene.metrics.queries == [ASKED]


def test_an_environment_without_prometheus_needs_it_only_for_conditions() -> None:
    assert Scene().judge(metrics=False).outcome == "pass"
    assert "has no Prometheus" in Scene().refused(Gate(conditions=(QUEUE,)), metrics=False).message


def test_prometheus_that_dies_between_two_looks_and_comes_back_is_asked_again() -> None:
    scene = Scene()
    answers: Iterator[Series] = iter([[], [({}, 1.0)]])
    scene.metrics.answer(ASKED, lambda: next(answers))
    told = scene.judge(Gate(conditions=(QUEUE,)))
    assert (told.outcome, told.look) == ("pass", 2)
