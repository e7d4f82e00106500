"""Rollbacks on simulated hosts, and reruns of rollbacks that were killed."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest

from deploy.core.commands import locks, paths
from deploy.core.planning.steps import Step, name_of
from deploy.core.state.ledger import parse_ledger
from deploy.errors import UsageError
from deploy.run.hosts.observe import observe_reachable
from deploy.run.rollout.deploy import (
    Result,
    RevertedError,
    RollbackCommand,
    StuckError,
    deploy,
    rollback,
)
from deploy.run.rollout.events import (
    Event,
    Listener,
    PlanMade,
    StepBegun,
    StepDone,
)
from deploy.run.rollout.rollout_fixture import ONE, THREE, TWO, context, deploy_command, quiet
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import (
    Fault,
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet


def run_deploy(
    fleet: Fleet,
    label: str,
    *,
    name: str = "app",
    color: str = "",
    path: str = "/",
    edge: str = "1",
) -> Result:
    service = factories.service(name, replicas=2, color=color, path=path)
    result = deploy(deploy_command(fleet, label, service, stacks=edge), context(fleet), quiet)
    fleet.await_drained()
    return result


def roll_back(fleet: Fleet, to: str | None = None, listen: Listener = quiet) -> Result:
    try:
        result = rollback(
            RollbackCommand(factories.service(), factories.ORIGIN, to), context(fleet), listen
        )
        fleet.await_drained()
        return result
    finally:
        assert fleet.violations == []


@cache
def _built(labels: str) -> Fleet:
    fleet = Fleet.of("host-1", "host-2")
    for label in labels.split():
        run_deploy(fleet, label, color=label)
    fleet.must_serve.update(host.name for host in fleet.hosts)
    return fleet


def fleet_of(labels: str) -> Fleet:
    """Returns two hosts that have served these images in this order."""
    return copy.deepcopy(_built(labels))


def test_repeated_rollbacks_go_to_the_same_release() -> None:
    fleet, first = fleet_of("one"), "r000001-3f9c2ab"
    for label in ("two", "three", "four", "five", "six", "seven"):
        assert run_deploy(fleet, label, color=label).previous == roll_back(fleet).release == first


def test_rollback_restores_the_previous_release_completely() -> None:
    fleet = fleet_of("one two")
    result = roll_back(fleet)
    assert (result.outcome, result.release, result.previous) == ("live", ONE, TWO)
    assert fleet.served() == [ONE, ONE]
    for host in fleet.hosts:
        replicas = [c for c in host.engine.containers.values() if c.has_check]
        assert {c.image for c in replicas} == {factories.image("one")}
        assert {c.environment["COLOR"] for c in replicas} == {"one"}
        assert host.folders("app") == {ONE, TWO}
        entries = parse_ledger(host.files[locks.LEDGER].decode())
        last = next(entry for entry in reversed(entries) if entry.event == "ended")
        assert (last.verb, last.release, last.outcome) == ("rollback", ONE, "live")


def test_rollback_needs_no_registry_and_renews_no_stack() -> None:
    fleet = fleet_of("one two")
    fleet.images.clear()
    for host in fleet.hosts:
        host.login_refused = True
    events: list[Event] = []
    roll_back(fleet, listen=events.append)
    names = {name_of(event.step) for event in events if isinstance(event, StepDone)}
    assert not names & {"PullImages", "StartStack", "WriteRelease"}


def edges(fleet: Fleet) -> set[str]:
    """Returns the keys of the running edges."""
    return {key for host in observe_reachable(fleet.hosts) for key in host.stack_keys("edge")}


def test_rollback_restores_the_edge_of_the_release() -> None:
    fleet = fleet_of("one")
    run_deploy(fleet, "two", color="two", edge="2")
    assert edges(fleet) == {factories.stacks("2")[0].key}
    assert roll_back(fleet).release == ONE
    assert edges(fleet) == {factories.stacks("1")[0].key}
    assert roll_back(fleet, TWO).release == TWO
    assert edges(fleet) == {factories.stacks("2")[0].key}


def test_new_edge_alone_is_the_same_release_with_another_record() -> None:
    fleet = fleet_of("one two")
    assert run_deploy(fleet, "two", color="two", edge="2").release == TWO
    assert roll_back(fleet, ONE).release == ONE
    assert edges(fleet) == {factories.stacks("1")[0].key}
    assert roll_back(fleet, TWO).release == TWO
    assert edges(fleet) == {factories.stacks("2")[0].key}


def test_failed_edge_is_in_no_record() -> None:
    fleet = fleet_of("one two")
    before = [host.releases for host in observe_reachable(fleet.hosts)]
    refused_on: list[str] = []

    def refuse(event: Event) -> None:
        if isinstance(event, StepBegun) and name_of(event.step) == "StartStack":
            refused_on.append(event.step.host)
            fleet.faults.append(Fault(event.step.host, 1, FaultKind.FAILS_ONCE))

    service = factories.service(replicas=2, color="two")
    command = deploy_command(fleet, "two", service, stacks="2")
    with pytest.raises(RevertedError):
        deploy(command, context(fleet), refuse)
    assert refused_on
    assert [host.releases for host in observe_reachable(fleet.hosts)] == before


def test_edge_that_another_service_came_with_stays() -> None:
    fleet = fleet_of("one two")
    run_deploy(fleet, "three", name="shop", path="/shop", edge="2")
    run_deploy(fleet, "two", color="two", edge="2")
    assert roll_back(fleet).release == ONE
    assert edges(fleet) == {factories.stacks("2")[0].key}


def test_rollback_restores_the_edge_if_other_services_are_older() -> None:
    fleet = fleet_of("one")
    run_deploy(fleet, "other", name="shop", path="/shop")
    run_deploy(fleet, "two", color="two", edge="2")
    run_deploy(fleet, "three", color="three", edge="3")
    assert roll_back(fleet).release == THREE
    assert edges(fleet) == {factories.stacks("2")[0].key}


def test_edge_of_a_service_that_was_deployed_later_stays() -> None:
    fleet = fleet_of("one")
    run_deploy(fleet, "other", name="shop", path="/shop")
    run_deploy(fleet, "two", color="two", edge="2")
    run_deploy(fleet, "other", name="shop", path="/shop", edge="3")
    run_deploy(fleet, "three", color="three", edge="4")
    assert roll_back(fleet).release == THREE
    assert edges(fleet) == {factories.stacks("4")[0].key}


def test_rollback_can_name_any_release_on_the_hosts() -> None:
    fleet = fleet_of("one two three")
    assert roll_back(fleet, ONE).release == ONE
    assert roll_back(fleet, ONE).outcome == "unchanged"
    assert roll_back(fleet, THREE).release == THREE


def test_rollback_restores_the_route() -> None:
    fleet = fleet_of("one")
    fleet.must_serve.clear()
    run_deploy(fleet, "two", path="/new")
    assert fleet.served("/") == ["", ""]
    roll_back(fleet)
    assert fleet.served("/") == [ONE, ONE]


@pytest.mark.parametrize(("labels", "to"), [("one", None), ("one two", "r000009-3f9c2ab")])
def test_rollback_to_an_unknown_release_changes_nothing(labels: str, to: str | None) -> None:
    fleet = fleet_of(labels)
    before = fleet.served()
    with pytest.raises(UsageError, match="to roll back to; nothing was changed") as error:
        roll_back(fleet, to)
    assert ONE in error.value.hint
    assert fleet.served() == before


def test_rollback_to_a_broken_release_is_reverted() -> None:
    fleet = fleet_of("one two")
    for host in fleet.hosts:
        host.engine.behaviours[factories.image("one")] = ContainerBehaviour(healthy_after_s=None)
    with pytest.raises(RevertedError, match=f"rolled back to {TWO}") as error:
        roll_back(fleet)
    assert error.value.hint.startswith("fix the error above, then ./ship deploy app")
    assert fleet.served() == [TWO, TWO]
    assert all(host.folders("app") == {ONE, TWO} for host in fleet.hosts)


def test_host_without_the_record_gets_it_from_another() -> None:
    fleet = fleet_of("one two")
    host = fleet["host-2"]
    folder = paths.release_folder("app", ONE)
    for path in [path for path in host.files if path.startswith(f"{folder}/")]:
        del host.files[path]
    assert roll_back(fleet).release == ONE
    assert host.folders("app") == {ONE, TWO}


def test_rollback_of_a_rollback_returns_to_the_newer_release() -> None:
    fleet = fleet_of("one two")
    assert [roll_back(fleet).release for _ in range(3)] == [ONE, TWO, ONE]


def test_missing_replica_is_not_taken_for_an_interrupted_rollback() -> None:
    fleet = fleet_of("one two")
    roll_back(fleet)
    fleet.watched = False
    del fleet["host-1"].engine.containers["app-r000001-1"]
    assert roll_back(fleet).release == TWO


def _steps() -> tuple[Step, ...]:
    made: list[PlanMade] = []
    roll_back(
        fleet_of("one two three"),
        listen=lambda event: made.append(event) if isinstance(event, PlanMade) else None,
    )
    return made[0].plan.steps


@pytest.mark.parametrize(
    "step", [pytest.param(step, id=f"{step.host}-{name_of(step)}") for step in _steps()]
)
def test_killed_rollback_is_finished_by_a_rerun(step: Step) -> None:
    fleet = fleet_of("one two three")

    def listen(event: Event) -> None:
        if isinstance(event, StepBegun) and event.step == step:
            fleet.faults.append(Fault(step.host, 1, FaultKind.KILLED))

    with pytest.raises((Killed, StuckError)):
        roll_back(fleet, listen=listen)
    assert fleet.killed
    fleet.revive()
    assert roll_back(fleet).release == TWO
    assert fleet.served() == [TWO, TWO]


def test_rerun_of_a_failed_rollback_goes_to_the_same_release() -> None:
    fleet = fleet_of("one two three")
    bad = replace(ContainerBehaviour(), healthy_after_s=None)
    for host in fleet.hosts:
        host.engine.behaviours[factories.image("two")] = bad
    with pytest.raises(RevertedError):
        roll_back(fleet)
    for host in fleet.hosts:
        host.engine.behaviours.clear()
    assert roll_back(fleet).release == TWO
