"""A host whose edge's state is lost or damaged keeps serving, is never taken for an empty one, and is repaired."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from deploy.core.commands import locks, paths
from deploy.core.state.edge import HEADER, named_state
from deploy.core.state.ledger import head_of
from deploy.errors import AuditError, RecordError, ShipError
from deploy.run.hosts.observe import observe_host, read_host
from deploy.run.queries.history import verify
from deploy.run.repair import repair
from deploy.run.rollout.deploy import plan
from deploy.run.rollout.rollout_fixture import (
    ONE,
    TWO,
    context,
    deploy_command,
    live_fleet,
    run_deploy,
)
from deploy.testing import factories
from deploy.testing.fleet.faults import Fault, FaultKind, Killed
from deploy.testing.fleet.files import record
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import MemoryHost

type Damage = Callable[[MemoryHost], None]


def without_first_line(host: MemoryHost) -> None:
    host.files[paths.ROUTES] = host.files[paths.ROUTES].partition(b"\n")[2]


def without_routes(host: MemoryHost) -> None:
    del host.files[paths.ROUTES]


def empty(host: MemoryHost) -> None:
    host.files[paths.ROUTES] = b""


def torn(host: MemoryHost) -> None:
    host.files[paths.ROUTES] = host.files[paths.ROUTES][:40]


def without_state(host: MemoryHost) -> None:
    del host.files[paths.state_file(named_state(host.files[paths.ROUTES].decode()) or "")]


def with_another_state(host: MemoryHost) -> None:
    name = named_state(host.files[paths.ROUTES].decode()) or ""
    host.files[paths.state_file(name)] = b'{"routes":[]}'


DAMAGES = (without_first_line, without_routes, empty, torn, without_state, with_another_state)


def without_any_state(host: MemoryHost) -> None:
    for path in [path for path in host.files if path.startswith(f"{paths.STATES}/")]:
        del host.files[path]


def repaired(fleet: Fleet) -> tuple[str, ...]:
    return repair(
        fleet.hosts[0], factories.EDGE, who="ada", pipeline="", clock=fleet.clock, say=print
    )


def held_fleet() -> Fleet:
    """Serves ONE of two services, and holds TWO of one of them as a candidate."""
    fleet = live_fleet()
    shop = factories.service("shop", path="/shop", host="www.example")
    run_deploy(fleet, deploy_command(fleet, "shop", shop))
    run_deploy(fleet, deploy_command(fleet, "two", hold=True))
    return fleet


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_state_beside_replicas_is_never_an_empty_host(damage: Damage) -> None:
    fleet = live_fleet()
    (host,), before = fleet.hosts, fleet.served()
    fleet.damaged.add(host.name)
    damage(host)
    with pytest.raises(RecordError) as refused:
        observe_host(host)
    assert refused.value.exit_code == 4
    assert f"./ship host repair {host.name}" in refused.value.hint
    with pytest.raises(RecordError):
        plan(deploy_command(fleet, "two"), context(fleet))
    with pytest.raises(RecordError):
        run_deploy(fleet, deploy_command(fleet, "two"))
    assert fleet.served() == before == [ONE]


@pytest.mark.parametrize("also", [None, without_any_state])
@pytest.mark.parametrize("damage", DAMAGES)
def test_repair_rebuilds_the_state_that_nginx_runs(damage: Damage, also: Damage | None) -> None:
    fleet = held_fleet()
    (host,) = fleet.hosts
    whole = host.edge_state
    fleet.damaged.add(host.name)
    damage(host)
    if also:
        also(host)
    (done,) = repaired(fleet)
    assert done.startswith("rebuilt the edge's state from")
    fleet.damaged.clear()
    if also or damage in (without_state, with_another_state):
        assert "what nginx answers" in done
    assert host.edge_state == whole
    assert (fleet.served(), fleet.served("/shop", "www.example")) == (
        [ONE],
        [TWO],
    )
    assert fleet.violations == []
    assert repaired(fleet) == ()
    run_deploy(
        fleet,
        deploy_command(fleet, "three", factories.service("shop", path="/shop", host="www.example")),
    )


def ledgerless(host: MemoryHost) -> None:
    del host.files[locks.LEDGER], host.files[locks.SEAL]


def begun_by_the_watchdog(host: MemoryHost) -> None:
    """The ledger was removed, and then the watchdog wrote one line into a new one."""
    ledgerless(host)
    record(host.files, head_of(replace(factories.ENTRY, turn=0, event="effect", what="restart")))


def shorter(host: MemoryHost) -> None:
    host.files[locks.LEDGER] = host.files[locks.LEDGER].partition(b"\n")[0] + b"\n"


@pytest.mark.parametrize("damage", [ledgerless, shorter, begun_by_the_watchdog])
def test_ledger_that_is_missing_or_too_short_is_damage_and_nothing_is_pruned_on_doubt(
    damage: Damage,
) -> None:
    fleet = live_fleet()
    (host,) = fleet.hosts
    run_deploy(fleet, deploy_command(fleet, "two"))
    run_deploy(fleet, deploy_command(fleet, "three"))
    assert len(host.folders("app")) == 3
    damage(host)
    with pytest.raises(AuditError):
        verify(fleet.hosts)
    with pytest.raises(RecordError, match="the ledger") as refused:
        run_deploy(fleet, deploy_command(fleet, "four"))
    assert refused.value.exit_code == 4
    assert f"./ship host repair {host.name}" in refused.value.hint
    (done,) = repaired(fleet)
    assert done.startswith("began the ledger anew")
    verify(fleet.hosts)
    assert b'"event": "repaired"' in host.files[locks.LEDGER]
    known = host.folders("app")
    run_deploy(fleet, deploy_command(fleet, "four"))
    assert host.folders("app") > known
    run_deploy(fleet, deploy_command(fleet, "five"), keep_releases=2)
    assert len(host.folders("app")) == 2


def test_host_without_releases_needs_no_ledger() -> None:
    fleet = Fleet.of("a")
    assert observe_host(fleet["a"]).damage == ()
    assert verify(fleet.hosts) == {"a": 0}


def test_repair_of_a_service_that_nginx_lost_serves_what_was_verified_last() -> None:
    fleet = live_fleet()
    (host,) = fleet.hosts
    fleet.damaged.add(host.name)
    fleet.must_serve.clear()
    empty(host)
    without_any_state(host)
    host.nginx.reload(HEADER + '{"routes":[]}', fleet.clock.monotonic())  # as after a restart
    fleet.clock.sleep(1)
    assert fleet.served() == [""]
    repaired(fleet)
    assert fleet.served() == [ONE]


INTERRUPTIONS = (
    (FaultKind.KILLED, False),
    (FaultKind.KILLED, True),
    (FaultKind.HALF, False),
)


@pytest.mark.parametrize(("kind", "after"), INTERRUPTIONS)
def test_repair_that_was_interrupted_anywhere_serves_on_and_can_be_repeated(
    kind: FaultKind, after: bool
) -> None:
    for call in range(1, 100):
        fleet = live_fleet()
        (host,) = fleet.hosts
        whole = host.edge_state
        fleet.damaged.add(host.name)
        without_first_line(host)
        without_any_state(host)
        fault = Fault(host.name, call, kind, after=after)
        fleet.faults.append(fault)
        with suppress(Killed, ShipError):
            repaired(fleet)
        fleet.revive()
        repaired(fleet)
        assert (fleet.served(), host.edge_state, fleet.violations) == ([ONE], whole, []), call
        if not fault.hit:
            return
    raise AssertionError("the repair does not end")


def test_repair_refuses_records_of_a_newer_version_and_changes_nothing() -> None:
    fleet = live_fleet()
    (host,) = fleet.hosts
    fleet.damaged.add(host.name)
    host.files[paths.ROUTES] = b'# py-cicd edge: {"format":3}\n'
    with pytest.raises(RecordError, match="newer version"):
        repaired(fleet)
    assert host.files[paths.ROUTES] == b'# py-cicd edge: {"format":3}\n'


def test_repair_of_a_whole_host_does_nothing() -> None:
    fleet = live_fleet()
    before = fleet.hosts[0].files[locks.LEDGER]
    assert repaired(fleet) == ()
    assert fleet.hosts[0].files[locks.LEDGER] == before
    assert read_host(fleet.hosts[0]).damage == ()
