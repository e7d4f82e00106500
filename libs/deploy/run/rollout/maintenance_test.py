"""A service that is closed on all hosts and opened again, by simulated hosts that break."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import pytest

from deploy.core.commands import locks, paths
from deploy.core.planning.steps import name_of
from deploy.core.state.edge import parse_edge
from deploy.core.state.ledger import parse_ledger
from deploy.errors import ShipError, UsageError
from deploy.run.queries.status import status
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    Outcome,
    RevertedError,
    StuckError,
    deploy,
)
from deploy.run.rollout.events import (
    Event,
    PlanMade,
    StepBegun,
)
from deploy.run.rollout.maintenance import Maintenance, set_maintenance
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import Fault, FaultKind
from deploy.testing.fleet.fleet import Fleet

ONE, TWO = "r000001-3f9c2ab", "r000002-3f9c2ab"


def context(fleet: Fleet) -> DeployContext:
    return DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)


def go(fleet: Fleet, label: str) -> Outcome:
    request = DeployCommand(
        factories.service(replicas=2),
        factories.image(label),
        factories.REPLICA,
        factories.stacks(),
        factories.ORIGIN,
    )
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    return deploy(request, context(fleet), lambda event: None)


@cache
def _live() -> Fleet:
    fleet = Fleet.of("host-1", "host-2")
    go(fleet, "one")
    return fleet


@pytest.fixture
def fleet() -> Fleet:
    return copy.deepcopy(_live())


def turn(fleet: Fleet, on: bool, tell: Callable[[Event], None] = lambda event: None) -> Outcome:
    request = Maintenance(factories.service(replicas=2), on, factories.ORIGIN)
    return set_maintenance(request, context(fleet), tell)


def closed(fleet: Fleet) -> list[bool]:
    """What a user meets at each host."""
    answers = [fleet.get(f"http://{host.name}.test/") for host in fleet.hosts]
    assert {answer.status for answer in answers} <= {200, 503}
    assert all((a.status == 503) == ("retry-after" in a.headers) for a in answers)
    return [answer.status == 503 for answer in answers]


def test_on_closes_every_host_and_off_opens_it(fleet: Fleet) -> None:
    plans: list[tuple[str, ...]] = []

    def tell(event: Event) -> None:
        if isinstance(event, PlanMade):
            plans.append(event.plan.lines())

    outcome = turn(fleet, True, tell)
    assert (outcome.outcome, outcome.release) == ("closed", ONE)
    assert plans[0] == (
        "maintenance:",
        "  host-1: SetMaintenance app on (a person asked for it)",
        "  host-1: AwaitDrained (requests in flight finish first)",
        "  host-2: SetMaintenance app on (a person asked for it)",
        "  host-2: AwaitDrained (requests in flight finish first)",
    )
    assert closed(fleet) == [True, True]
    preview = fleet["host-1"].fetch(8081, "/version")
    assert (preview.status, preview.headers["x-release"]) == (200, ONE)
    assert turn(fleet, True).outcome == "unchanged"
    assert turn(fleet, False).outcome == "open"
    assert closed(fleet) == [False, False]


def test_requests_in_flight_are_waited_for(fleet: Fleet) -> None:
    for host in fleet.hosts:
        (nginx,) = host.running_edges()
        nginx.lingers_s = 40
    begun = fleet.clock.monotonic()
    turn(fleet, True)
    assert fleet.clock.monotonic() - begun >= 40


def test_a_deploy_goes_on_behind_the_closed_door(fleet: Fleet) -> None:
    turn(fleet, True)
    assert go(fleet, "two").release == TWO
    assert closed(fleet) == [True, True]
    preview = fleet["host-2"].fetch(8081, "/version")
    assert preview.headers["x-release"] == TWO
    turn(fleet, False)
    assert fleet.served() == [TWO, TWO]


def test_a_failed_deploy_leaves_the_door_closed(fleet: Fleet) -> None:
    turn(fleet, True)
    for host in fleet.hosts:
        host.engine.behaviours[factories.image("two")] = ContainerBehaviour(crashes_after_s=1.0)
    with pytest.raises(RevertedError):
        go(fleet, "two")
    assert closed(fleet) == [True, True]


def test_status_and_the_record_tell(fleet: Fleet) -> None:
    turn(fleet, True)
    (service,) = status(fleet.environment(), fleet.hosts, (factories.service(),))
    assert [host["maintenance"] for host in service["hosts"]] == [True, True]
    entries = parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
    mine = [entry for entry in entries if entry.verb == "maintenance on"]
    told = [(entry.event, entry.outcome or entry.what) for entry in mine]
    assert mine[1].what.startswith("routing app")
    assert told == [("begun", ""), ("effect", mine[1].what), ("ended", "closed")]
    assert {(entry.service, entry.release) for entry in mine} == {("app", ONE)}


def at(fleet: Fleet, step: str, host: str, how: FaultKind) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if isinstance(event, StepBegun) and (name_of(event.step), event.step.host) == (step, host):
            # The first touch only reads.
            fleet.faults.append(Fault(host, 2, how))

    return tell


@pytest.mark.parametrize("on", [True, False])
def test_one_host_that_fails_takes_the_others_back(fleet: Fleet, on: bool) -> None:
    if not on:
        turn(fleet, True)
    with pytest.raises(RevertedError, match="app is as it was before") as caught:
        turn(fleet, on, at(fleet, "SetMaintenance", "host-2", FaultKind.FAILS_ONCE))
    assert closed(fleet) == [not on, not on]
    assert f"maintenance {'on' if on else 'off'} app" in caught.value.hint
    fleet.faults.clear()
    assert turn(fleet, on).outcome == ("closed" if on else "open")


def test_a_host_that_is_gone_needs_a_person(fleet: Fleet) -> None:
    with pytest.raises(StuckError, match="host-2 can't be looked at"):
        turn(fleet, True, at(fleet, "SetMaintenance", "host-2", FaultKind.GONE))
    fleet.revive()
    assert closed(fleet) == [False, False]


def test_what_is_live_nowhere_can_not_be_closed() -> None:
    fleet = Fleet.of("host-1")
    with pytest.raises(UsageError, match="live nowhere"):
        turn(fleet, True)


def test_replicas_that_do_not_answer_stay_behind_the_door(fleet: Fleet) -> None:
    turn(fleet, True)
    for host in fleet.hosts:
        host.engine.down(f"app-{ONE}")
    with pytest.raises(ShipError):
        turn(fleet, False)
    assert closed(fleet) == [True, True]
    state = parse_edge(fleet["host-1"].files[paths.ROUTES].decode())
    assert (route := state.route("app"))
    assert route.maintenance
