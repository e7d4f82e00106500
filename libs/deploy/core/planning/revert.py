"""The way back: from how the hosts are now to what served before; never an undo of what was done.

There is no undo: a failed deploy is taken back by planning for the release that served before, from a fresh look at
the hosts. So the way back is made of the same moves as the way there, whatever was half done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from deploy.core.planning import host_steps, stack_steps
from deploy.core.planning.plan import (
    DesiredState,
    Phase,
    Plan,
)
from deploy.core.planning.steps import (
    AwaitDrained,
    DropHold,
    Prune,
    SettleEdge,
    Step,
    StopRelease,
    WriteTargets,
)
from deploy.core.stacks.prometheus import targets_digest
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.core.state.ledger import verified
from deploy.core.state.release import Release, sequence_of


def release_before(service: str, before: FleetState) -> str:
    """Returns the id of the release to go back to: the one last verified, else the newest live one, else ""."""
    live = {host.edge.live(service) for host in before} - {""}
    return before.last_verified(service) or max(live, key=sequence_of, default="")


def plan_revert(
    desired: DesiredState,
    to: Release | None,
    before: FleetState,
    fleet: FleetState,
) -> Plan:
    """Plans the way back to what was `before` the attempt at `desired`, from how the same hosts are now.

    A host on which something was live or verified goes back to `to`; one that had nothing is cleared. Hosts go back
    each for itself: one that can't stops no other.
    """
    service = desired.service.name
    steps: list[Step] = []
    for was, now in zip(before, fleet, strict=True):
        if to is None or not (was.edge.live(service) or verified(was.ledger, service)):
            steps += _clear(service, now)
        else:
            lost = stack_steps.lost(desired, was, now)
            steps += _back(replace(desired, release=to, stacks=lost, judged=False), now)
            steps += stack_steps.take_back(desired, was, now)
    phases = (Phase("back", tuple(steps), independent=True),) if steps else ()
    return Plan(service, to, "", phases)


def _back(there: DesiredState, host: HostState) -> Iterator[Step]:
    """A host that serves the right release is only tidied: how well its replicas do is none of this attempt's."""
    if not host_steps.is_live(there, host):
        for make in (host_steps.prepare, host_steps.start, host_steps.switch, host_steps.verify):
            yield from make(there, host)
    elif there.stacks or _another_scale(there, host):
        for make in (host_steps.prepare, host_steps.switch, host_steps.verify):
            yield from make(there, host)
    yield from host_steps.tidy(there, host)


def _another_scale(there: DesiredState, host: HostState) -> bool:
    known = host.release(there.release.service, there.release.id)
    return known != there.release or not host_steps.serves(there, host)


def _clear(service: str, host: HostState) -> Iterator[Step]:
    """Nothing live, nothing left of the attempt; the edge stays and answers 503."""
    name, route, running = host.host, host.edge.route(service), host.running_releases(service)
    if route is not None and route.upstreams:
        nothing = replace(route, live="", candidate="", upstreams=())
        yield SettleEdge(name, nothing, "no release was ever verified")
    if host.target(service) and host.target(service) != targets_digest(name, ()):
        yield WriteTargets(name, service, (), "nothing is live")
    if running:
        yield AwaitDrained(name, host_steps.DRAIN_DEADLINE_S, "requests in flight finish first")
    for each in running:
        yield StopRelease(name, service, each, "it never went live")
    if records := tuple(r.id for r in host.releases if r.service == service):
        yield Prune(name, service, records, _images(service, host), "it never went live")
    if host.hold(service):
        yield DropHold(name, service, "nothing is held any more")


def _images(service: str, host: HostState) -> tuple[str, ...]:
    """What only this service's records name."""
    others = {record.image for record in host.releases if record.service != service}
    mine = {record.image for record in host.releases if record.service == service}
    return tuple(sorted(mine - others))
