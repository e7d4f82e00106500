"""The way back: from how the hosts are now to what served before; never an undo of what was done.

There is no undo: a failed deploy is taken back by planning for the release that served before, from a fresh look at
the hosts. So the way back is made of the same moves as the way there, whatever was half done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from deploy.core import moves, part_moves
from deploy.core.ledger import verified
from deploy.core.monitoring import targets_digest
from deploy.core.observed import Observed, last_verified
from deploy.core.plans import Phase, Plan, Wanted
from deploy.core.releases import Release, sequence_of
from deploy.core.steps import (
    AwaitDrained,
    DropHold,
    Prune,
    SettleEdge,
    Step,
    StopReplicas,
    WriteTargets,
)


def release_before(service: str, before: tuple[Observed, ...]) -> str:
    """Returns the id of the release to go back to: the one last verified, else the newest live one, else ""."""
    live = {host.edge.live(service) for host in before} - {""}
    return last_verified(before, service) or max(live, key=sequence_of, default="")


def plan_back(
    wanted: Wanted, to: Release | None, before: tuple[Observed, ...], observed: tuple[Observed, ...]
) -> Plan:
    """Plans the way back to what was `before` the attempt at `wanted`, from how the same hosts are now.

    A host on which something was live or verified goes back to `to`; one that had nothing is cleared. Hosts go back
    each for itself: one that can't stops no other.
    """
    service = wanted.service.name
    steps: list[Step] = []
    for was, now in zip(before, observed, strict=True):
        if to is None or not (was.edge.live(service) or verified(was.ledger, service)):
            steps += _clear(service, now)
        else:
            lost = part_moves.lost(wanted, was, now)
            steps += _back(replace(wanted, release=to, parts=lost, judged=False), now)
            steps += part_moves.take_back(wanted, was, now)
    phases = (Phase("back", tuple(steps), independent=True),) if steps else ()
    return Plan(service, to, "", phases)


def _back(there: Wanted, host: Observed) -> Iterator[Step]:
    """A host that serves the right release is only tidied: how well its replicas do is none of this attempt's."""
    if not moves.is_live(there, host):
        for make in (moves.prepare, moves.start, moves.switch, moves.verify):
            yield from make(there, host)
    elif there.parts or _another_scale(there, host):
        for make in (moves.prepare, moves.switch, moves.verify):
            yield from make(there, host)
    yield from moves.tidy(there, host)


def _another_scale(there: Wanted, host: Observed) -> bool:
    known = host.release(there.release.service, there.release.id)
    return known != there.release or not moves.serves(there, host)


def _clear(service: str, host: Observed) -> Iterator[Step]:
    """Nothing live, nothing left of the attempt; the edge stays and answers 503."""
    name, route, running = host.host, host.edge.route(service), host.running_releases(service)
    if route is not None and route.upstreams:
        nothing = replace(route, live="", candidate="", upstreams=())
        yield SettleEdge(name, nothing, "no release was ever verified")
    if host.target(service) and host.target(service) != targets_digest(name, ()):
        yield WriteTargets(name, service, (), "nothing is live")
    if running:
        yield AwaitDrained(name, moves.DRAIN_DEADLINE_S, "requests in flight finish first")
    for each in running:
        yield StopReplicas(name, service, each, "it never went live")
    if records := tuple(r.id for r in host.releases if r.service == service):
        yield Prune(name, service, records, _images(service, host), "it never went live")
    if host.hold(service):
        yield DropHold(name, service, "nothing is held any more")


def _images(service: str, host: Observed) -> tuple[str, ...]:
    """What only this service's records name."""
    others = {record.image for record in host.releases if record.service != service}
    mine = {record.image for record in host.releases if record.service == service}
    return tuple(sorted(mine - others))
