"""When a release is analysed: the steps for it, on which hosts, and with which release it is compared."""

from __future__ import annotations

from dataclasses import replace

from deploy.core.config import Gate, Rollout, Service
from deploy.core.planning.plan import DesiredState, PhaseKind, Strategy
from deploy.core.planning.rollout import plan_deploy
from deploy.core.planning.steps import AnalyseRelease, ShareTraffic, describe
from deploy.core.state.edge import EdgeRoute, EdgeState
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.core.state.ledger import Entry
from deploy.core.state.release import make_release
from deploy.testing.factories import (
    ORIGIN,
    image,
    service,
)

SERVICE = replace(service(replicas=1), gate=Gate(), rollout=Rollout(watch_s=0))
OLD = make_release(SERVICE, image("a"), 1, "", ORIGIN, subnet="10.213.0.0/16")
NEW = make_release(SERVICE, image("b"), 2, "", ORIGIN, subnet="10.213.0.0/16")


def bare(name: str = "host-1") -> HostState:
    return HostState(name, network=True)


def serving(name: str = "host-1", *, new: bool = False) -> HostState:
    route = EdgeRoute("app", "/", "", OLD.id, None, (OLD.upstream,))
    if new:
        route = route.offer(NEW.upstream).point(NEW.id)
    entry = Entry(1, "", "ada", "deploy", "app", OLD.id, 1, "ended", "live")
    return HostState(
        name, network=True, releases=(OLD, NEW), edge=EdgeState((route,)), ledger=(entry,)
    )


def analysed(
    *hosts: HostState,
    canary: int = 0,
    service: Service = SERVICE,
    strategy: Strategy = Strategy.ROLLOUT,
) -> list[str]:
    """Returns the lines of a plan that analyse a release or share traffic."""
    desired = DesiredState(service, NEW, (), 5, strategy, canary)
    plan = plan_deploy(desired, FleetState(hosts))
    return [
        f"{phase.name}: {describe(step)}"
        for phase in plan.phases
        for step in phase.steps
        if isinstance(step, AnalyseRelease | ShareTraffic)
    ]


def test_release_is_analysed_before_any_user_meets_it_and_with_all_users() -> None:
    assert analysed(serving()) == [
        (
            f"preview analysis: host-1: analyse app {NEW.id} against {OLD.id} on the preview route "
            "(before any user reaches it)"
        ),
        (
            f"analysis: host-1: analyse app {NEW.id} against {OLD.id} with all users "
            "(it must be no worse)"
        ),
    ]


def test_canary_gets_traffic_on_every_host_and_is_analysed_once() -> None:
    shown = analysed(serving("host-1"), serving("host-2"), canary=20)
    assert [each.partition(" (")[0] for each in shown] == [
        f"preview analysis: host-1: analyse app {NEW.id} against {OLD.id} on the preview route",
        f"canary: host-1: send 20 % of traffic to app {NEW.id}",
        f"canary: host-2: send 20 % of traffic to app {NEW.id}",
        f"canary analysis: host-1: analyse app {NEW.id} against {OLD.id} with a share of the users",
        f"analysis: host-1: analyse app {NEW.id} against {OLD.id} with all users",
    ]


def test_analyses_come_after_the_preview_before_the_switch_and_before_the_record() -> None:
    plan = plan_deploy(DesiredState(SERVICE, NEW, (), 5, canary=20), FleetState((serving(),)))
    names = [phase.name for phase in plan.phases]
    expected = ("preview", "preview analysis", "canary", "canary analysis", "switch", "analysis")
    places = [names.index(name) for name in expected]
    assert places == sorted(places)
    assert names.index("analysis") < names.index("record")
    assert all(phase.reversible for phase in plan.phases[: names.index("record")])


def test_first_release_is_compared_with_nothing_and_gets_no_canary() -> None:
    shown = analysed(bare(), canary=20)
    assert [each.partition(" (")[0] for each in shown] == [
        f"preview analysis: host-1: analyse app {NEW.id} on the preview route",
        f"analysis: host-1: analyse app {NEW.id} with all users",
    ]


def test_release_that_a_killed_deploy_switched_to_is_compared_with_the_one_before() -> None:
    assert [each.partition(" (")[0] for each in analysed(serving(new=True))] == [
        f"analysis: host-1: analyse app {NEW.id} against {OLD.id} with all users"
    ]


def test_host_without_the_old_release_is_not_compared() -> None:
    plan = plan_deploy(
        DesiredState(SERVICE, NEW, (), 5), FleetState((bare("host-0"), serving("host-1")))
    )
    analysis = next(p for p in plan.phases if p.kind is PhaseKind.PREVIEW_ANALYSIS)
    assert [getattr(step, "hosts", None) for step in analysis.steps] == [("host-1",)]


def test_rollback_and_service_without_a_gate_are_not_analysed() -> None:
    assert analysed(serving(), service=replace(SERVICE, gate=Gate(enabled=False))) == []
    assert analysed(serving(), strategy=Strategy.ROLLBACK) == []
    without = analysed(serving(), service=replace(SERVICE, gate=Gate(paths=())))
    assert [each.partition(":")[0] for each in without] == ["analysis"]
