"""Compares what a host runs with what its records say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from deploy.core.config import Service
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.core.state.release import sequence_of
from deploy.core.state.stack import REPLACED


class ServicePhase(StrEnum):
    """How far a service's rollout is on a host, as `ship status --json` writes it."""

    UNREACHABLE = "unreachable"
    DAMAGED = "damaged"
    EMPTY = "empty"
    STARTING = "starting"
    CANDIDATE = "candidate"
    LIVE = "live"
    DRAINING = "draining"


@dataclass(frozen=True)
class Problem:
    """What differs from the records, since when (UTC, None if unknown), and the command that helps."""

    text: str
    command: str
    since: str | None = None


def phase(service: Service, host: HostState) -> ServicePhase:
    """Returns how far the service's rollout is on a host.

    Replicas of a release older than the live one are draining, and so are those that the host stops; those of a newer
    one are starting.
    """
    if host.damage:
        return ServicePhase.DAMAGED
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


def mixed(service: Service, fleet: FleetState) -> list[Problem]:
    """Returns one problem that says which host serves what, if they differ; unreachable hosts are left out."""
    live = {host.host: host.edge.live(service.name) for host in fleet if not host.problem}
    if len(set(live.values())) < 2:
        return []
    serving = ", ".join(f"{host} serves {release or 'nothing'}" for host, release in live.items())
    last = fleet.last_operation(service.name)
    command = f"./ship deploy {service.name}"
    return [Problem(f"the fleet is mixed: {serving}", command, last.when if last else None)]


def drift(service: Service, host: HostState) -> list[Problem]:
    """Returns a problem for everything that is missing on a host, unhealthy, or runs without being live."""
    deploy, logs = (f"./ship {verb} {service.name}" for verb in ("deploy", "logs"))
    if host.problem:
        return [Problem(host.problem, host.remedy or f"./ship host check {host.host}")]
    named, live = host.edge.live(service.name), host.live(service.name)
    if live is None:
        text = f"{host.host}: {named} is live and its record is missing"
        return [Problem(text, deploy)] if named else []
    found = {container.name: container for container in host.replicas(service.name, live.id)}
    others = [release for release in host.running_releases(service.name) if release != live.id]
    return [
        *(Problem(text, deploy) for text in _stacks(host)),
        *(
            Problem(f"{host.host}: {name} is missing", deploy)
            for name in live.names
            if name not in found
        ),
        *(
            Problem(f"{host.host}: {c.name} is {c.condition}", logs, c.since)
            for c in found.values()
            if not c.ready
        ),
        *(
            Problem(f"{host.host}: {release} runs beside {live.id}", _ends(service, host, release))
            for release in others
            if host.drain(service.name, release) is None
        ),
        *(
            Problem(
                f"{host.host}: {drain.release} should have drained {host.now_s - drain.deadline_s:.0f} s ago",
                deploy,
            )
            for drain in host.draining
            if drain.service == service.name and drain.is_overdue(host.now_s)
        ),
    ]


def _ends(service: Service, host: HostState, release: str) -> str:
    """Returns the command that ends a release beside the live one: a held one waits for a decision."""
    hold = host.hold(service.name)
    verb = f"promote {service.name} --release" if hold and hold.release == release else None
    return f"./ship {verb} {release}" if verb else f"./ship deploy {service.name}"


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
