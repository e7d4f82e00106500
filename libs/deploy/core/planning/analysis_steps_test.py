"""When a release is judged: which steps the plan has for it, on which hosts, and against what."""

from __future__ import annotations

from dataclasses import replace

from deploy.core.config import Gate, Rollout, Service
from deploy.core.planning.plan import DesiredState
from deploy.core.planning.rollout import plan_deploy
from deploy.core.planning.step_lines import describe
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
    route = EdgeRoute("app", "/", "", OLD.id, "", (OLD.upstream,))
    if new:
        route = route.offer(NEW.upstream).point(NEW.id)
    entry = Entry(1, "", "ada", "deploy", "app", OLD.id, 1, "ended", "live")
    return HostState(
        name, network=True, releases=(OLD, NEW), edge=EdgeState((route,)), ledger=(entry,)
    )


def judged(
    *hosts: HostState, canary: int = 0, desired: Service = SERVICE, **more: bool
) -> list[str]:
    command = DesiredState(desired, NEW, (), 5, canary=canary, **more)
    plan = plan_deploy(command, FleetState(hosts))
    kinds = ("AnalyseRelease", "ShareTraffic")
    return [
        f"{phase.name}: {describe(step)}"
        for phase in plan.phases
        for step in phase.steps
        if type(step).__name__ in kinds
    ]


def test_it_is_judged_before_any_user_meets_it_and_under_all_of_them() -> None:
    assert judged(serving()) == [
        (
            f"trial: host-1: AnalyseRelease app {NEW.id} against {OLD.id}, trial "
            "(no user meets what fails or is slower than before)"
        ),
        (
            f"judge: host-1: AnalyseRelease app {NEW.id} against {OLD.id}, users "
            "(it stays only if it is no worse)"
        ),
    ]


def test_a_canary_is_shared_on_every_host_and_judged_once() -> None:
    shown = judged(serving("host-1"), serving("host-2"), canary=20)
    assert [each.partition(" (")[0] for each in shown] == [
        f"trial: host-1: AnalyseRelease app {NEW.id} against {OLD.id}, trial",
        f"canary: host-1: ShareTraffic app {NEW.id} 20%",
        f"canary: host-2: ShareTraffic app {NEW.id} 20%",
        f"judge canary: host-1: AnalyseRelease app {NEW.id} against {OLD.id}, canary",
        f"judge: host-1: AnalyseRelease app {NEW.id} against {OLD.id}, users",
    ]


def test_the_judging_comes_after_the_preview_and_before_the_switch() -> None:
    plan = plan_deploy(DesiredState(SERVICE, NEW, (), 5, canary=20), FleetState((serving(),)))
    names = [phase.name for phase in plan.phases]
    places = [
        names.index(n) for n in ("preview", "trial", "canary", "judge canary", "switch", "judge")
    ]
    assert places == sorted(places)
    assert names.index("judge") < names.index("record")
    assert all(phase.reversible for phase in plan.phases[: names.index("record")])


def test_a_first_release_is_compared_with_nothing_and_is_no_canary() -> None:
    shown = judged(bare(), canary=20)
    assert [each.partition(" (")[0] for each in shown] == [
        f"trial: host-1: AnalyseRelease app {NEW.id}, trial",
        f"judge: host-1: AnalyseRelease app {NEW.id}, users",
    ]


def test_what_a_killed_deploy_switched_is_judged_against_what_served_before() -> None:
    assert [each.partition(" (")[0] for each in judged(serving(new=True))] == [
        f"judge: host-1: AnalyseRelease app {NEW.id} against {OLD.id}, users"
    ]


def test_a_host_that_never_had_the_old_release_is_not_compared() -> None:
    plan = plan_deploy(
        DesiredState(SERVICE, NEW, (), 5), FleetState((bare("host-0"), serving("host-1")))
    )
    trial = next(phase for phase in plan.phases if phase.name == "trial")
    assert [getattr(step, "hosts", None) for step in trial.steps] == [("host-1",)]


def test_nothing_is_judged_where_nobody_asked_for_it() -> None:
    assert judged(serving(), desired=replace(SERVICE, gate=Gate(enabled=False))) == []
    assert judged(serving(), judged=False) == []
    without = judged(serving(), desired=replace(SERVICE, gate=Gate(paths=())))
    assert [each.partition(":")[0] for each in without] == ["judge"]
