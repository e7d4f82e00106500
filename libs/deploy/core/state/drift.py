"""Compares what a host runs with what its records say."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.core.config import Service
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.core.state.stack import REPLACED


def phase(service: Service, seen: HostState) -> str:
    """Returns where a host stands: empty, starting, candidate, live, draining or unreachable."""
    if seen.problem:
        return "unreachable"
    route = seen.edge.route(service.name)
    live = route.live if route else ""
    if route and route.candidate and route.candidate != live:
        return "candidate"
    others = [each for each in seen.running_releases(service.name) if each != live]
    if live:
        return (
            "draining" if any(each < live for each in others) else "starting" if others else "live"
        )
    return "starting" if others else "empty"


def mixed(service: Service, seen: FleetState) -> list[str]:
    """Returns a line where hosts serve different releases, none where they don't; who can't be asked is told apart."""
    live = {each.host: each.edge.live(service.name) for each in seen if not each.problem}
    if len(set(live.values())) < 2:
        return []
    told = ", ".join(f"{host} serves {release or 'nothing'}" for host, release in live.items())
    return [f"the fleet is mixed: {told}"]


def drift(service: Service, seen: HostState) -> list[str]:
    """Returns what a host runs that no release of ours says, and what is missing."""
    if seen.problem:
        return [seen.problem]
    named, live = seen.edge.live(service.name), seen.live(service.name)
    if live is None:
        return [f"{seen.host}: {named} is live and its record is missing"] if named else []
    found = {each.name: each for each in seen.replicas(service.name, live.id)}
    missing = [f"{seen.host}: {name} is missing" for name in live.names if name not in found]
    sick = [f"{seen.host}: {c.name} is {c.condition}" for c in found.values() if not c.ready]
    others = [each for each in seen.running_releases(service.name) if each != live.id]
    return [
        *_stacks(seen),
        *missing,
        *sick,
        *(f"{seen.host}: {each} runs beside {live.id}" for each in others),
    ]


def _stacks(seen: HostState) -> Iterator[str]:
    for name in ("edge", "watchdog"):
        replaced = [each for each in REPLACED.get(name, ()) if seen.stack_keys(each)]
        if not seen.stack_keys(name) and not replaced:
            yield f"{seen.host}: no {name} runs"
        elif seen.stack_keys(name):
            yield from (
                f"{seen.host}: the {each} runs beside the {name} that replaces it"
                for each in replaced
            )
