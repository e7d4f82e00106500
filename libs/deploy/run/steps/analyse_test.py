"""Analysing a release on simulated hosts: few and many users, bad releases, Prometheus in every state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from deploy.core.analysis.access_log import VERIFICATION_ID, Origin
from deploy.core.analysis.stage import Stage
from deploy.core.analysis.verdict import Conclusion, Verdict
from deploy.core.config import Condition, Gate
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.edge import EdgeRoute, EdgeState
from deploy.core.state.release import Release, make_release
from deploy.errors import ReleaseRefusedError
from deploy.run.steps.analyse import AnalysisContext, AnalysisScope, analyse_release
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
QUERY = f'queue{{release="{NEW.id}"}}'


class Scene:
    """Hosts that run both releases. The old one is live, or the new one if `switched`."""

    def __init__(
        self, *, bad: ContainerBehaviour | None = None, switched: bool = False, hosts: int = 1
    ) -> None:
        names = [f"host-{number}" for number in range(1, hosts + 1)]
        self.fleet = Fleet.of(*names)
        self.metrics = MemoryMetrics()
        self.messages: list[str] = []
        self.details: list[str] = []
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

    def analyse(
        self,
        gate: Gate | None = None,
        *,
        previous: Release | None = OLD,
        metrics: bool = True,
        stage: Stage | None = None,
    ) -> Verdict:
        scope = AnalysisScope(
            hosts=self.fleet.hosts,
            service=replace(service(), gate=gate or Gate()),
            release=NEW,
            previous=previous,
            preview_port=PREVIEW_PORT,
            stage=stage or (Stage.USERS if self.switched else Stage.CANARY),
        )
        query = self.metrics if metrics else None
        context = AnalysisContext(
            query, self.fleet.clock, self.messages.append, detail=self.details.append
        )
        return analyse_release(scope, context)

    def refused(self, gate: Gate | None = None, *, metrics: bool = True) -> ReleaseRefusedError:
        with pytest.raises(ReleaseRefusedError) as caught:
            self.analyse(gate, metrics=metrics)
        return caught.value


def requests(scene: Scene) -> dict[str, int]:
    found: dict[str, int] = {}
    for host in scene.fleet.hosts:
        for request in host.log.requests:
            if request.request_id == VERIFICATION_ID:
                continue  # a warm-up
            kind = "synthetic" if request.request_id else "users"
            found[kind] = found.get(kind, 0) + 1
    return found


def test_without_users_both_releases_get_the_same_synthetic_requests_and_a_healthy_one_passes() -> (
    None
):
    scene = Scene()
    verdict = scene.analyse()
    assert (verdict.outcome, verdict.basis) == (Conclusion.PASS, Origin.SYNTHETIC)
    assert verdict.attempt == 1
    assert requests(scene) == {"synthetic": 600}
    upstreams = {request.upstream for request in scene.fleet.hosts[0].log.requests}
    assert len(upstreams) == 2
    message = f"too few user requests: sending 300 to {NEW.id} and 300 to {OLD.id}"
    assert message in scene.messages


def test_synthetic_requests_are_shared_among_hosts() -> None:
    scene = Scene(hosts=3)
    scene.analyse()
    sent = [
        sum(request.request_id != VERIFICATION_ID for request in host.log.requests)
        for host in scene.fleet.hosts
    ]
    assert sent == [200, 200, 200]


def test_five_percent_errors_are_refused_without_any_user() -> None:
    scene = Scene(bad=ContainerBehaviour(fails_every=20))
    error = scene.refused()
    assert not error.holds
    assert error.message.startswith(f"the release gate refused {NEW.id}: ")
    assert " of 300 requests failed (" in error.message
    assert f"\n  log: {NEW.names[0]} printed its last line" in error.message
    assert error.hint == f"./ship report app {NEW.id} shows the evidence"
    assert requests(scene)["synthetic"] >= 600


@pytest.mark.parametrize(
    ("policy", "switched", "holds"),
    [("rollback", False, False), ("hold", False, True), ("hold", True, False)],
)
def test_sixty_milliseconds_slower_ends_as_the_policy_says(
    policy: str, switched: bool, holds: bool
) -> None:
    scene = Scene(bad=ContainerBehaviour(answers_in_s=0.08), switched=switched)
    error = scene.refused(Gate(on_slower=policy))
    assert ": median " in error.message
    assert error.holds is holds


def test_a_slower_release_proceeds_if_the_policy_is_continue() -> None:
    scene = Scene(bad=ContainerBehaviour(answers_in_s=0.08))
    assert scene.analyse(Gate(on_slower="continue")).outcome is Conclusion.FAIL


def test_a_first_release_gets_all_synthetic_requests_and_no_other_is_named() -> None:
    scene = Scene()
    scene.analyse(previous=None)
    assert f"too few user requests: sending 300 to {NEW.id}" in scene.messages


def test_statistics_are_details() -> None:
    scene = Scene()
    scene.analyse()
    assert any("delta" in line for line in scene.details)
    assert not any("delta" in line for line in scene.messages)


def test_enough_users_requests_are_the_evidence() -> None:
    scene = Scene(switched=True)
    scene.point(OLD)
    scene.users(400)
    scene.point(NEW)
    scene.users(400)
    verdict = scene.analyse()
    assert (verdict.outcome, verdict.basis) == (Conclusion.PASS, Origin.USERS)
    assert requests(scene) == {"users": 800}


def test_only_the_old_releases_last_minutes_count() -> None:
    scene = Scene(switched=True)
    scene.point(OLD)
    scene.users(400)
    scene.fleet.clock.sleep(400)
    scene.point(NEW)
    scene.users(400)
    assert scene.analyse().basis is Origin.SYNTHETIC


def test_gross_errors_for_a_few_users_refuse_a_release_that_passes_synthetic_requests() -> None:
    scene = Scene(bad=ContainerBehaviour(fails_every=2), switched=True)
    scene.users(40)
    assert " of 340 requests failed (limit 2.4 %)" in scene.refused().message


def test_without_paths_and_users_the_analysis_is_inconclusive() -> None:
    scene = Scene()
    error = scene.refused(Gate(paths=()))
    assert ": 0 requests to the new release, 0 to the old one (300 needed)" in error.message
    assert [line for line in scene.messages if line.startswith("analysis attempt")] == [
        f"analysis attempt {n}, synthetic requests: inconclusive" for n in (1, 2, 3)
    ]
    assert Scene().analyse(Gate(paths=(), on_unclear="continue")).outcome is Conclusion.INCONCLUSIVE
    assert Scene().refused(Gate(paths=(), on_unclear="hold")).holds


def test_a_first_release_is_only_compared_with_the_error_limit() -> None:
    scene = Scene()
    assert scene.analyse(previous=None).outcome is Conclusion.PASS
    assert requests(scene) == {"synthetic": 300}


def test_an_edge_that_logs_nothing_is_refused() -> None:
    scene = Scene()
    for host in scene.fleet.hosts:
        host.edges = []
    assert "(300 needed)" in scene.refused().message


@pytest.mark.parametrize("off_s", [300.0, -300.0])
def test_a_host_clock_that_is_five_minutes_off_changes_no_verdict(off_s: float) -> None:
    scene = Scene(hosts=2, switched=True)
    scene.fleet.hosts[1].log.clock_off_s = off_s
    scene.point(OLD)
    for host in scene.fleet.hosts:
        scene.users(200, host)
    scene.point(NEW)
    for host in scene.fleet.hosts:
        scene.users(200, host)
    verdict = scene.analyse()
    assert (verdict.outcome, verdict.basis) == (Conclusion.PASS, Origin.USERS)
    assert verdict.results[0].text == "400 requests to the new release, 400 to the old one"


def _answers(*values: float) -> Callable[[MemoryMetrics], None]:
    return lambda metrics: metrics.answer(QUERY, [({"n": str(v)}, v) for v in values])


def _breaks(metrics: MemoryMetrics) -> None:
    metrics.broken = "connection refused"


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (_answers(9), "queue: 9, at most 5"),
        (_answers(), "queue: Prometheus can't answer"),
        (_answers(float("nan")), f"queue: Prometheus can't answer `{QUERY}`: a value is nan"),
        (_answers(1, 2), "queue: the query returned 2 series instead of one"),
        (_breaks, "queue: Prometheus can't answer: connection refused"),
    ],
    ids=["above", "no series", "NaN", "several series", "down"],
)
def test_a_condition_that_fails_or_cannot_be_read_refuses_the_release(
    prepare: Callable[[MemoryMetrics], None], text: str
) -> None:
    scene = Scene()
    prepare(scene.metrics)
    assert text in scene.refused(Gate(conditions=(QUEUE,))).message


def test_a_condition_that_holds_passes_and_its_query_names_the_release() -> None:
    scene = Scene()
    _answers(5)(scene.metrics)
    assert scene.analyse(Gate(conditions=(QUEUE,))).outcome is Conclusion.PASS
    assert scene.metrics.queries == [QUERY]


def test_conditions_are_not_checked_before_the_release_has_users() -> None:
    scene = Scene()
    verdict = scene.analyse(Gate(conditions=(QUEUE,)), stage=Stage.PREVIEW)
    assert verdict.outcome is Conclusion.PASS
    assert scene.metrics.queries == []


def test_an_environment_without_prometheus_refuses_only_conditions() -> None:
    assert Scene().analyse(metrics=False).outcome is Conclusion.PASS
    assert "has no Prometheus" in Scene().refused(Gate(conditions=(QUEUE,)), metrics=False).message


def test_prometheus_is_queried_again_in_the_next_attempt() -> None:
    scene = Scene()
    answers: Iterator[Series] = iter([[], [({}, 1.0)]])
    scene.metrics.answer(QUERY, lambda: next(answers))
    verdict = scene.analyse(Gate(conditions=(QUEUE,)))
    assert (verdict.outcome, verdict.attempt) == (Conclusion.PASS, 2)
