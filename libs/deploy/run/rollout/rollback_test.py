"""Rollbacks over simulated hosts, and what a rerun makes of one that was killed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from deploy.core.commands import locks, paths
from deploy.core.planning.steps import Step, name_of
from deploy.core.state.ledger import parse_ledger
from deploy.errors import UsageError
from deploy.run.hosts.observe import observe_what_answers
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    Outcome,
    RevertedError,
    RollbackCommand,
    StuckError,
    deploy,
    rollback,
)
from deploy.run.rollout.events import (
    Event,
    PlanMade,
    StepBegun,
    StepDone,
)
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import (
    Fault,
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet

ONE, TWO, THREE = (f"r00000{number}-3f9c2ab" for number in (1, 2, 3))


def context(fleet: Fleet) -> DeployContext:
    return DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)


def go(
    fleet: Fleet,
    label: str,
    *,
    name: str = "app",
    color: str = "",
    path: str = "/",
    edge: str = "1",
) -> Outcome:
    service, stacks = (
        factories.service(name, replicas=2, color=color, path=path),
        factories.stacks(edge),
    )
    request = DeployCommand(
        service, factories.image(label, name), factories.REPLICA, stacks, factories.ORIGIN
    )
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    return deploy(request, context(fleet), lambda event: None)


def back(fleet: Fleet, to: str = "", tell: Callable[[Event], None] = lambda event: None) -> Outcome:
    try:
        return rollback(
            RollbackCommand(factories.service(), factories.ORIGIN, to), context(fleet), tell
        )
    finally:
        assert fleet.violations == []


@cache
def _built(labels: str) -> Fleet:
    fleet = Fleet.of("host-1", "host-2")
    for label in labels.split():
        go(fleet, label, color=label)
    fleet.must_serve.update(host.name for host in fleet.hosts)
    return fleet


def fleet_of(labels: str) -> Fleet:
    """Two hosts that served these images one after the other."""
    return copy.deepcopy(_built(labels))


def test_what_was_gone_back_to_again_and_again_stays_the_way_back() -> None:
    fleet, first = fleet_of("one"), "r000001-3f9c2ab"
    for label in ("two", "three", "four", "five", "six", "seven"):
        assert go(fleet, label, color=label).previous == back(fleet).release == first


def test_the_release_before_is_live_again_whole() -> None:
    fleet = fleet_of("one two")
    outcome = back(fleet)
    assert (outcome.outcome, outcome.release, outcome.previous) == ("live", ONE, TWO)
    assert fleet.served() == [ONE, ONE]
    for host in fleet.hosts:
        replicas = [c for c in host.engine.containers.values() if c.has_check]
        assert {c.image for c in replicas} == {factories.image("one")}
        assert {c.environment["COLOR"] for c in replicas} == {"one"}
        assert host.folders("app") == {ONE, TWO}
        said = parse_ledger(host.files[locks.LEDGER].decode())
        last = next(entry for entry in reversed(said) if entry.event == "ended")
        assert (last.verb, last.release, last.outcome) == ("rollback", ONE, "live")


def test_a_rollback_needs_no_registry_and_renews_no_part() -> None:
    fleet = fleet_of("one two")
    fleet.images.clear()
    for host in fleet.hosts:
        host.login_refused = True
    told: list[Event] = []
    back(fleet, tell=told.append)
    names = {name_of(event.step) for event in told if isinstance(event, StepDone)}
    assert not names & {"PullImages", "StartStack", "WriteRelease"}


def edges(fleet: Fleet) -> set[str]:
    """The keys of the edges that run."""
    return {key for host in observe_what_answers(fleet.hosts) for key in host.stack_keys("edge")}


def test_the_edge_goes_back_with_the_release_that_came_with_it() -> None:
    fleet = fleet_of("one")
    go(fleet, "two", color="two", edge="2")
    assert edges(fleet) == {factories.stacks("2")[0].key}
    assert back(fleet).release == ONE
    assert edges(fleet) == {factories.stacks("1")[0].key}
    assert back(fleet, TWO).release == TWO
    assert edges(fleet) == {factories.stacks("2")[0].key}


def test_an_edge_alone_is_no_new_release_and_its_record_says_so() -> None:
    fleet = fleet_of("one two")
    assert go(fleet, "two", color="two", edge="2").release == TWO
    assert back(fleet, ONE).release == ONE
    assert edges(fleet) == {factories.stacks("1")[0].key}
    assert back(fleet, TWO).release == TWO
    assert edges(fleet) == {factories.stacks("2")[0].key}


def test_an_edge_that_is_refused_stands_in_no_record() -> None:
    fleet = fleet_of("one two")
    before = [host.releases for host in observe_what_answers(fleet.hosts)]
    tell_of: list[str] = []

    def refuse(event: Event) -> None:
        if isinstance(event, StepBegun) and name_of(event.step) == "StartStack":
            tell_of.append(event.step.host)
            fleet.faults.append(Fault(event.step.host, 1, FaultKind.FAILS_ONCE))

    service, stacks = factories.service(replicas=2, color="two"), factories.stacks("2")
    fleet.images.update(stack.image for stack in stacks)
    request = DeployCommand(
        service, factories.image("two"), factories.REPLICA, stacks, factories.ORIGIN
    )
    with pytest.raises(RevertedError):
        deploy(request, context(fleet), refuse)
    assert tell_of
    assert [host.releases for host in observe_what_answers(fleet.hosts)] == before


def test_an_edge_that_another_service_came_with_stays() -> None:
    fleet = fleet_of("one two")
    go(fleet, "three", name="shop", path="/shop", edge="2")
    go(fleet, "two", color="two", edge="2")
    assert back(fleet).release == ONE
    assert edges(fleet) == {factories.stacks("2")[0].key}


def test_an_edge_goes_back_past_a_service_that_was_there_before_it() -> None:
    fleet = fleet_of("one")
    go(fleet, "other", name="shop", path="/shop")
    go(fleet, "two", color="two", edge="2")
    go(fleet, "three", color="three", edge="3")
    assert back(fleet).release == THREE
    assert edges(fleet) == {factories.stacks("2")[0].key}


def test_an_edge_that_another_service_came_with_later_stays_though_a_third_serves() -> None:
    fleet = fleet_of("one")
    go(fleet, "other", name="shop", path="/shop")
    go(fleet, "two", color="two", edge="2")
    go(fleet, "other", name="shop", path="/shop", edge="3")
    go(fleet, "three", color="three", edge="4")
    assert back(fleet).release == THREE
    assert edges(fleet) == {factories.stacks("4")[0].key}


def test_any_release_on_the_hosts_can_be_named() -> None:
    fleet = fleet_of("one two three")
    assert back(fleet, ONE).release == ONE
    assert back(fleet, ONE).outcome == "unchanged"
    assert back(fleet, THREE).release == THREE


def test_the_place_goes_back_with_the_release() -> None:
    fleet = fleet_of("one")
    fleet.must_serve.clear()
    go(fleet, "two", path="/new")
    assert fleet.served("/") == ["", ""]
    back(fleet)
    assert fleet.served("/") == [ONE, ONE]


@pytest.mark.parametrize(("labels", "to"), [("one", ""), ("one two", "r000009-3f9c2ab")])
def test_without_such_a_release_nothing_is_changed(labels: str, to: str) -> None:
    fleet = fleet_of(labels)
    before = fleet.served()
    with pytest.raises(UsageError, match="to go back to; nothing was changed") as error:
        back(fleet, to)
    assert ONE in error.value.hint
    assert fleet.served() == before


def test_a_release_that_is_no_longer_good_is_taken_back() -> None:
    fleet = fleet_of("one two")
    for host in fleet.hosts:
        host.engine.behaviours[factories.image("one")] = ContainerBehaviour(healthy_after_s=None)
    with pytest.raises(RevertedError, match=f"{TWO} serves as before") as error:
        back(fleet)
    assert error.value.hint == f"./ship rollback app --to {ONE} tries again"
    assert fleet.served() == [TWO, TWO]
    assert all(host.folders("app") == {ONE, TWO} for host in fleet.hosts)


def test_a_host_without_the_record_gets_it_from_another() -> None:
    fleet = fleet_of("one two")
    host = fleet["host-2"]
    folder = paths.release_folder("app", ONE)
    for path in [path for path in host.files if path.startswith(f"{folder}/")]:
        del host.files[path]
    assert back(fleet).release == ONE
    assert host.folders("app") == {ONE, TWO}


def test_a_rollback_of_a_rollback_is_the_way_forward() -> None:
    fleet = fleet_of("one two")
    assert [back(fleet).release for _ in range(3)] == [ONE, TWO, ONE]


def test_a_replica_that_ails_does_not_keep_a_rollback_from_going_on() -> None:
    fleet = fleet_of("one two")
    back(fleet)
    fleet.watched = False
    del fleet["host-1"].engine.containers["app-r000001-1"]
    assert back(fleet).release == TWO


def _steps() -> tuple[Step, ...]:
    made: list[PlanMade] = []
    back(
        fleet_of("one two three"),
        tell=lambda event: made.append(event) if isinstance(event, PlanMade) else None,
    )
    return made[0].plan.steps


@pytest.mark.parametrize(
    "step", [pytest.param(step, id=f"{step.host}-{name_of(step)}") for step in _steps()]
)
def test_a_rollback_that_was_killed_is_finished_by_a_rerun(step: Step) -> None:
    fleet = fleet_of("one two three")

    def tell(event: Event) -> None:
        if isinstance(event, StepBegun) and event.step == step:
            fleet.faults.append(Fault(step.host, 1, FaultKind.KILLED))

    with pytest.raises((Killed, StuckError)):
        back(fleet, tell=tell)
    assert fleet.killed
    fleet.revive()
    assert back(fleet).release == TWO
    assert fleet.served() == [TWO, TWO]


def test_a_rollback_that_failed_tries_the_same_again() -> None:
    fleet = fleet_of("one two three")
    bad = replace(ContainerBehaviour(), healthy_after_s=None)
    for host in fleet.hosts:
        host.engine.behaviours[factories.image("two")] = bad
    with pytest.raises(RevertedError):
        back(fleet)
    for host in fleet.hosts:
        host.engine.behaviours.clear()
    assert back(fleet).release == TWO
