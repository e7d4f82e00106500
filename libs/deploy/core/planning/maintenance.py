"""Plans maintenance: a service's users get 503 with a page, or its replicas again; never touches a host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from deploy.core.planning.host_steps import DRAIN_DEADLINE_S
from deploy.core.planning.plan import Phase, Plan
from deploy.core.planning.steps import (
    AwaitDrained,
    SetMaintenance,
    Step,
    VerifyOutside,
)
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState


def live_somewhere(service: str, fleet: FleetState) -> bool:
    """True if any host has users of the service to close it for."""
    return any(host.edge.live(service) for host in fleet)


def plan_maintenance(service: str, fleet: FleetState, *, on: bool) -> Plan:
    """Plans what closes the service on every host, or opens it; empty where that is so already."""
    return _plan(service, fleet, lambda number: on, "a person asked for it")


def plan_maintenance_back(service: str, before: FleetState, fleet: FleetState) -> Plan:
    """Plans the way back to what was `before`, from how the same hosts are now."""
    was = [bool((route := host.edge.route(service)) and route.maintenance) for host in before]
    return _plan(service, fleet, lambda number: was[number], "as it was before")


def _plan(service: str, fleet: FleetState, on: Callable[[int], bool], because: str) -> Plan:
    steps = [
        step
        for number, host in enumerate(fleet)
        for step in _moves(service, host, on(number), because)
    ]
    live = next((found for host in fleet if (found := host.live(service))), None)
    phases = (Phase("maintenance", tuple(steps), independent=True),) if steps else ()
    return Plan(service, live, "", phases)


def _moves(service: str, host: HostState, on: bool, because: str) -> Iterator[Step]:
    route = host.edge.route(service)
    if route is None or not route.live or route.maintenance == on:
        return
    after = replace(route, maintenance=on)
    yield SetMaintenance(host.host, after, because)
    release = host.live(service)
    if not on and release:
        yield VerifyOutside(host.host, release, after, "open is what answers from outside")
    # A client that kept its connection is answered once more by a worker that knows nothing of the change.
    why = "requests in flight finish first" if on else "who kept a connection still meets the page"
    yield AwaitDrained(host.host, DRAIN_DEADLINE_S, why)
