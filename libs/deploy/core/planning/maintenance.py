"""Plans maintenance: turns a service's maintenance page on or off on every host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from deploy.core.planning.plan import Phase, PhaseKind, Plan
from deploy.core.planning.steps import AwaitDrained, SetMaintenance, Step, VerifyOutside
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState

DRAIN_DEADLINE_S = 105.0
"""How long requests that began before the change may take."""


def plan_maintenance(service: str, fleet: FleetState, *, on: bool) -> Plan:
    """Plans what closes the service on every host, or opens it; empty where that is done already."""
    return _plan(PhaseKind.MAINTENANCE, service, fleet, lambda number: on, "requested")


def plan_maintenance_revert(service: str, before: FleetState, now: FleetState) -> Plan:
    """Plans what closes or opens the service on each host as it was `before`; `now` are the same hosts now."""
    closed = [bool((route := host.edge.route(service)) and route.maintenance) for host in before]
    return _plan(PhaseKind.REVERT, service, now, lambda number: closed[number], "as it was before")


def _plan(
    kind: PhaseKind, service: str, fleet: FleetState, on: Callable[[int], bool], because: str
) -> Plan:
    steps = [
        step
        for number, host in enumerate(fleet)
        for step in _host_steps(service, host, on(number), because)
    ]
    live = next((found for host in fleet if (found := host.live(service))), None)
    phases = (Phase(kind, tuple(steps), independent=True),) if steps else ()
    return Plan(service, live, None, phases)


def _host_steps(service: str, host: HostState, on: bool, because: str) -> Iterator[Step]:
    route = host.edge.route(service)
    if route is None or not route.live or route.maintenance == on:
        return
    after = replace(route, maintenance=on)
    yield SetMaintenance(host.host, after, because)
    release = host.live(service)
    if not on and release:
        yield VerifyOutside(host.host, release, after)
    # A worker of the old configuration answers one more request of each connection that a client has kept.
    why = "requests in flight finish first" if on else "kept connections still get the page"
    yield AwaitDrained(host.host, DRAIN_DEADLINE_S, why)
