"""Compares what a host runs with what its records say."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from deploy.core.config import Service
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.core.state.release import sequence_of
from deploy.core.state.stack import REPLACED


class ServicePhase(StrEnum):
    """How far a service's rollout is on a host, as `ship status --json` writes it."""

    UNREACHABLE = "unreachable"
    EMPTY = "empty"
    STARTING = "starting"
    CANDIDATE = "candidate"
    LIVE = "live"
    DRAINING = "draining"


def phase(service: Service, host: HostState) -> ServicePhase:
    """Returns how far the service's rollout is on a host.

    Replicas of a release older than the live one are draining, and so are those that the host stops; those of a newer
    one are starting.
    """
    if host.problem:
        return ServicePhase.UNREACHABLE
    route = host.edge.route(service.name)
    live = route.live if route else None
    if route and route.candidate and route.candidate != live:
        return ServicePhase.CANDIDATE
    others = [release for release in host.running_releases(service.name) if release != live]
    if live is None:
        return ServicePhase.STARTING if others else ServicePhase.EMPTY
    draining = {drain.release for drain in host.draining if drain.service == service.name}
    if draining or any(sequence_of(release) < sequence_of(live) for release in others):
        return ServicePhase.DRAINING
    return ServicePhase.STARTING if others else ServicePhase.LIVE


def mixed(service: Service, fleet: FleetState) -> list[str]:
    """Returns one line that says which host serves what, if they differ; unreachable hosts are left out."""
    live = {host.host: host.edge.live(service.name) for host in fleet if not host.problem}
    if len(set(live.values())) < 2:
        return []
    serving = ", ".join(f"{host} serves {release or 'nothing'}" for host, release in live.items())
    return [f"the fleet is mixed: {serving}"]


def drift(service: Service, host: HostState) -> list[str]:
    """Returns a line for everything that is missing on a host, unhealthy, or runs without being live."""
    if host.problem:
        return [host.problem]
    named, live = host.edge.live(service.name), host.live(service.name)
    if live is None:
        return [f"{host.host}: {named} is live and its record is missing"] if named else []
    found = {container.name: container for container in host.replicas(service.name, live.id)}
    others = [release for release in host.running_releases(service.name) if release != live.id]
    return [
        *_stacks(host),
        *(f"{host.host}: {name} is missing" for name in live.names if name not in found),
        *(f"{host.host}: {c.name} is {c.condition}" for c in found.values() if not c.ready),
        *(
            f"{host.host}: {release} runs beside {live.id}"
            for release in others
            if host.drain(service.name, release) is None
        ),
        *(
            f"{host.host}: {drain.release} should have drained {host.now_s - drain.deadline_s:.0f} s ago"
            for drain in host.draining
            if drain.service == service.name and drain.is_overdue(host.now_s)
        ),
    ]


def _stacks(host: HostState) -> Iterator[str]:
    for name in ("edge", "watchdog"):
        replaced = [other for other in REPLACED.get(name, ()) if host.stack_keys(other)]
        if not host.stack_keys(name) and not replaced:
            yield f"{host.host}: no {name} runs"
        elif host.stack_keys(name):
            yield from (
                f"{host.host}: the {other} runs beside the {name} that replaces it"
                for other in replaced
            )
