"""Plans the revert of a failed rollout: from the hosts as they are now to the release that was live before.

A revert is no undo of the steps that were done. It is planned like any rollout, for the earlier release and from a
fresh snapshot of the hosts, so it works from any half-done state and consists of the same steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from deploy.core.config import Service
from deploy.core.planning import host_steps, log_steps, stack_steps
from deploy.core.planning.plan import DesiredState, Phase, PhaseKind, Plan, Strategy
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
from deploy.core.state.release import Release


def release_before(service: str, before: FleetState) -> str | None:
    """Returns the id of the release to revert to: the last verified one, else the newest live one, else None."""
    return before.last_verified(service) or before.newest_live(service)


def plan_revert(
    desired: DesiredState,
    to: Release | None,
    before: FleetState,
    now: FleetState,
) -> Plan:
    """Plans the revert of an attempt at `desired`; `before` and `now` are the same hosts before it and now.

    A host on which a release was live or verified reverts to `to`; a host that had none is cleared. Hosts are
    independent: one that fails stops no other.
    """
    service = desired.service.name
    steps: list[Step] = []
    for old, host in zip(before, now, strict=True):
        if to is None or not (old.edge.live(service) or verified(old.ledger, service)):
            steps += _clear(desired.service, host)
        else:
            lost = stack_steps.lost(desired, old, host)
            target = replace(desired, release=to, stacks=lost, strategy=Strategy.ROLLBACK)
            steps += _restore(target, host)
            steps += stack_steps.revert(desired, old, host)
    phases = (Phase(PhaseKind.REVERT, tuple(steps), independent=True),) if steps else ()
    return Plan(service, to, None, phases)


def _restore(target: DesiredState, host: HostState) -> Iterator[Step]:
    """A host that serves the right release is only tidied: the attempt isn't to blame for unhealthy replicas."""
    if not host_steps.is_live(target, host):
        for plan in (host_steps.prepare, host_steps.start, host_steps.switch, host_steps.verify):
            yield from plan(target, host)
    elif target.stacks or _record_or_route_changed(target, host):
        for plan in (host_steps.prepare, host_steps.switch, host_steps.verify):
            yield from plan(target, host)
    # A revert ends with nothing of the failed release left, so it waits for the drain itself.
    yield from host_steps.tidy(target, host, hand_over=False)


def _record_or_route_changed(target: DesiredState, host: HostState) -> bool:
    """The attempt may have changed the scale of the same release, or its edge."""
    known = host.release(target.release.service, target.release.id)
    return known != target.release or not host_steps.serves(target, host)


def _clear(settings: Service, host: HostState) -> Iterator[Step]:
    """Removes everything of the service; the edge stays and answers 503."""
    service = settings.name
    name, route, running = host.host, host.edge.route(service), host.running_releases(service)
    if route is not None and route.upstreams:
        nothing = replace(route, live=None, candidate=None, upstreams=())
        yield SettleEdge(name, nothing, "no release was ever verified")
    if host.target(service) and host.target(service) != targets_digest(name, ()):
        yield WriteTargets(name, service, (), "nothing is live")
    if running:
        yield AwaitDrained(name, settings.health.drain_s, "requests in flight finish first")
    for release in running:
        replicas = host.replicas(service, release)
        yield from log_steps.keep_logs(host, service, replicas, "never went live")
        yield StopRelease(name, service, release, "never went live")
    if records := tuple(r.id for r in host.releases if r.service == service):
        yield Prune(name, service, records, _images(service, host), "never went live")
    if host.hold(service):
        yield DropHold(name, service, "no candidate is left")


def _images(service: str, host: HostState) -> tuple[str, ...]:
    """Returns the images that only this service's records name."""
    others = {record.image for record in host.releases if record.service != service}
    own = {record.image for record in host.releases if record.service == service}
    return tuple(sorted(own - others))
