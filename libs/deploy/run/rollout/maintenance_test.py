"""Closing a service for maintenance and opening it again, on simulated hosts that fail."""

from __future__ import annotations

import copy
from functools import cache

import pytest

from deploy.core.commands import locks
from deploy.core.state.ledger import parse_ledger
from deploy.errors import ShipError, UsageError
from deploy.run.queries.status import status
from deploy.run.rollout.deploy import (
    Result,
    RevertedError,
    StuckError,
)
from deploy.run.rollout.events import (
    Event,
    Listener,
    PlanMade,
)
from deploy.run.rollout.maintenance import Maintenance, set_maintenance
from deploy.run.rollout.rollout_fixture import (
    ONE,
    TWO,
    context,
    deploy_command,
    fault_at,
    live_fleet,
    quiet,
    run_deploy,
)
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import FaultKind
from deploy.testing.fleet.fleet import Fleet

SERVICE = factories.service(replicas=2)


@cache
def _live() -> Fleet:
    fleet = live_fleet("host-1", "host-2", service=SERVICE)
    fleet.must_serve.clear()  # a closed service answers 503
    return fleet


@pytest.fixture
def fleet() -> Fleet:
    return copy.deepcopy(_live())


def turn(fleet: Fleet, on: bool, listen: Listener = quiet) -> Result:
    command = Maintenance(SERVICE, on, factories.ORIGIN)
    return set_maintenance(command, context(fleet), listen)


def closed(fleet: Fleet) -> list[bool]:
    """Returns for each host whether users get the maintenance page."""
    answers = [fleet.get(f"http://{host.name}.test/") for host in fleet.hosts]
    assert {answer.status for answer in answers} <= {200, 503}
    assert all((a.status == 503) == ("retry-after" in a.headers) for a in answers)
    return [answer.status == 503 for answer in answers]


def test_on_closes_every_host_and_off_opens_it(fleet: Fleet) -> None:
    plans: list[tuple[str, ...]] = []

    def listen(event: Event) -> None:
        if isinstance(event, PlanMade):
            plans.append(event.plan.lines())

    result = turn(fleet, True, listen)
    assert (result.outcome, result.release) == ("closed", ONE)
    assert plans[0] == (
        "maintenance:",
        "  host-1: turn on maintenance of app (requested)",
        "  host-1: wait for connections to drain (requests in flight finish first)",
        "  host-2: turn on maintenance of app (requested)",
        "  host-2: wait for connections to drain (requests in flight finish first)",
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


def test_deploy_works_during_maintenance(fleet: Fleet) -> None:
    turn(fleet, True)
    assert run_deploy(fleet, deploy_command(fleet, "two", SERVICE)).release == TWO
    assert closed(fleet) == [True, True]
    preview = fleet["host-2"].fetch(8081, "/version")
    assert preview.headers["x-release"] == TWO
    turn(fleet, False)
    assert fleet.served() == [TWO, TWO]


def test_failed_deploy_keeps_the_service_closed(fleet: Fleet) -> None:
    turn(fleet, True)
    for host in fleet.hosts:
        host.engine.behaviours[factories.image("two")] = ContainerBehaviour(crashes_after_s=1.0)
    with pytest.raises(RevertedError):
        run_deploy(fleet, deploy_command(fleet, "two", SERVICE))
    assert closed(fleet) == [True, True]


def test_status_and_ledger_show_maintenance(fleet: Fleet) -> None:
    turn(fleet, True)
    (service,) = status(fleet.environment(), fleet.hosts, (factories.service(),))
    assert [host["maintenance"] for host in service["hosts"]] == [True, True]
    entries = parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
    found = [entry for entry in entries if entry.verb == "maintenance on"]
    assert found[2].event == "drained"
    events = [(entry.event, entry.outcome or entry.what) for entry in (*found[:2], *found[3:])]
    assert found[1].what.startswith("routing app")
    assert events == [("begun", ""), ("effect", found[1].what), ("ended", "closed")]
    assert {(entry.service, entry.release) for entry in found} == {("app", ONE)}


@pytest.mark.parametrize("on", [True, False])
def test_failure_on_one_host_reverts_the_others(fleet: Fleet, on: bool) -> None:
    if not on:
        turn(fleet, True)
    with pytest.raises(RevertedError, match="app is as it was before") as caught:
        turn(fleet, on, fault_at(fleet, "SetMaintenance", "host-2", FaultKind.FAILS_ONCE, call=2))
    assert closed(fleet) == [not on, not on]
    assert f"maintenance {'on' if on else 'off'} app" in caught.value.hint
    fleet.faults.clear()
    assert turn(fleet, on).outcome == ("closed" if on else "open")


def test_unreachable_host_leaves_it_stuck(fleet: Fleet) -> None:
    with pytest.raises(StuckError, match="host-2 can't be reached"):
        turn(fleet, True, fault_at(fleet, "SetMaintenance", "host-2", FaultKind.GONE, call=2))
    fleet.revive()
    assert closed(fleet) == [False, False]


def test_service_that_is_live_nowhere_cannot_be_closed() -> None:
    fleet = Fleet.of("host-1")
    with pytest.raises(UsageError, match="live nowhere"):
        turn(fleet, True)


def test_service_whose_replicas_do_not_answer_stays_closed(fleet: Fleet) -> None:
    turn(fleet, True)
    for host in fleet.hosts:
        host.engine.down(f"app-{ONE}")
    with pytest.raises(ShipError):
        turn(fleet, False)
    assert closed(fleet) == [True, True]
    state = fleet["host-1"].edge_state
    assert (route := state.route("app"))
    assert route.maintenance
