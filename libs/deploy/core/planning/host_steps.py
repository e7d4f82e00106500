"""Plans the steps that bring one host to the desired state, one function per phase.

A function yields nothing if the host is in the desired state already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from deploy.core.planning import log_steps, stack_steps
from deploy.core.planning.plan import DesiredState
from deploy.core.planning.steps import (
    AwaitDrained,
    AwaitHealthy,
    DropHold,
    OfferCandidate,
    PointTraffic,
    PrepareHost,
    Prune,
    PullImages,
    ReplaceUnhealthy,
    ScaleDown,
    SettleEdge,
    StartReplicas,
    Step,
    StopRelease,
    VerifyOutside,
    VerifyPreview,
    WatchRelease,
    WriteRelease,
    WriteSecrets,
    WriteTargets,
)
from deploy.core.stacks.prometheus import targets_digest
from deploy.core.state.edge import EdgeRoute
from deploy.core.state.host import Container, HostState
from deploy.core.state.ledger import EntryEvent, verified
from deploy.core.state.release import Release
from deploy.core.state.secrets import changed

# A little longer than nginx's worker_shutdown_timeout (90 s, deploy/nginx/nginx.conf), which ends old workers.
DRAIN_DEADLINE_S = 105.0


def prepare(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields what must be on the host before replicas start: network, images, record, secrets, stacks."""
    name, release = host.host, desired.release
    if not host.network:
        yield PrepareHost(name, "the host is new")
    images = dict.fromkeys([release.image, *(stack.image for stack in desired.stacks)])
    if missing := tuple(image for image in images if image not in host.images):
        yield PullImages(name, missing, "not on the host")
    known = host.release(release.service, release.id)
    if known is None:
        yield WriteRelease(name, release, "not on the host")
    elif known != release:
        same = known.replicas == release.replicas
        why = "its edge changed" if same else f"it has {known.replicas} now"
        yield WriteRelease(name, release, why)
    if release.secrets and not host.replicas(release.service, release.id):
        yield WriteSecrets(name, release, _why_secrets(release, host.live(release.service)))
    yield from stack_steps.start(desired, host)


def _why_secrets(release: Release, live: Release | None) -> str:
    if live is not None and (names := changed(live.secrets, release.secrets)):
        return f"changed since {live.id}: {', '.join(names)}"
    return "current values"


def _ready(desired: DesiredState, host: HostState) -> bool:
    replicas = host.replicas(desired.service.name, desired.release.id)
    return {replica.name for replica in replicas if replica.ready} >= set(desired.release.names)


def is_live(desired: DesiredState, host: HostState) -> bool:
    """Returns whether the edge sends users to the release."""
    return host.edge.live(desired.service.name) == desired.release.id


def serves(desired: DesiredState, host: HostState) -> bool:
    """Returns whether the release is live and the edge knows exactly its replicas."""
    route = host.edge.route(desired.service.name)
    return (
        is_live(desired, host) and route is not None and desired.release.upstream in route.upstreams
    )


def start(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields the start of the release's replicas and the wait until they are healthy."""
    release, health = desired.release, desired.service.health
    live, ready = is_live(desired, host), _ready(desired, host)
    if live and ready:
        return
    if not ready:
        if unhealthy := unhealthy_replicas(release, host):
            states = ", ".join(sorted({replica.condition for replica in unhealthy}))
            why = "unhealthy replicas are replaced"
            yield from log_steps.keep_logs(host, release.service, unhealthy, why)
            yield ReplaceUnhealthy(host.host, tuple(c.name for c in unhealthy), states)
        new = "rollback target" if desired.is_rollback else "new release"
        why = "not all are ready" if live else new
        yield StartReplicas(host.host, release, why)
    yield AwaitHealthy(
        host.host,
        release,
        startup_deadline_s=health.startup_deadline_s,
        deadline_s=health.healthy_deadline_s,
        # A rollback doesn't wait for that long: this release was healthy when it was live.
        min_healthy_s=0.0 if desired.is_rollback else health.min_healthy_s,
        health_path=health.path,
        engine_check=not desired.is_rollback,
    )
    if not live:
        yield from _candidate_targets(release, host)


def _candidate_targets(release: Release, host: HostState) -> Iterator[Step]:
    stable = host.live(release.service)
    targets = (*(((stable, "stable"),) if stable else ()), (release, "candidate"))
    if host.target(release.service) != targets_digest(host.host, targets):
        why = "metrics before traffic"
        yield WriteTargets(host.host, release.service, targets, why)


def unhealthy_replicas(release: Release, host: HostState) -> tuple[Container, ...]:
    """Returns the replicas to replace: stopped, reported unhealthy, or restarted at least once and not ready."""
    found = (c for c in host.replicas(release.service, release.id) if not c.ready)
    return tuple(
        c for c in found if c.state != "running" or c.health == "unhealthy" or c.restarts > 0
    )


def with_candidate(desired: DesiredState, host: HostState) -> EdgeRoute:
    """Returns the service's current route with the release as its candidate."""
    found = host.edge.route(desired.service.name)
    own = desired.release.route
    route = found or EdgeRoute(desired.service.name, own.path, own.host)
    return route.offer(desired.release.upstream)


def _live_route(desired: DesiredState, host: HostState) -> EdgeRoute:
    """Returns the service's route with the release live, at the release's own path and host name."""
    own, offered = desired.release.route, with_candidate(desired, host)
    if is_live(desired, host):
        before = host.edge.route(desired.service.name)
        offered = replace(offered, candidate=before.candidate if before else None)
    return replace(offered.point(desired.release.id), path=own.path, host=own.host)


def preview(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields the preview: the candidate must answer on the preview route before it gets traffic."""
    if not is_live(desired, host):
        health, route = desired.service.health, with_candidate(desired, host)
        yield OfferCandidate(host.host, route, desired.release, "checked before it gets traffic")
        yield VerifyPreview(host.host, desired.release, route, health.successes, health.path)


def switch(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields the switch of all traffic to the release."""
    if not serves(desired, host):
        live = host.edge.live(desired.service.name)
        why = "its replicas changed" if is_live(desired, host) else f"{live or 'nothing'} is live"
        yield PointTraffic(host.host, _live_route(desired, host), desired.release, why)


def _must_verify(desired: DesiredState, host: HostState) -> bool:
    renewed = stack_steps.renewed(desired, host)
    return renewed or not serves(desired, host) or not _ready(desired, host)


def verify(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields the check from outside, unless it was done and nothing has changed since."""
    if _must_verify(desired, host) or not is_verified(desired, host):
        yield VerifyOutside(host.host, desired.release, _live_route(desired, host))


def is_verified(desired: DesiredState, host: HostState) -> bool:
    """Returns whether the release was the last one to be verified, as the host's ledger records."""
    last = verified(host.ledger, desired.service.name)
    return bool(last) and last[-1].release == desired.release.id


def watch(desired: DesiredState, host: HostState, watch_s: float, because: str) -> Iterator[Step]:
    """Yields the watch of a release that has just gone live."""
    known = desired.is_rollback or (is_live(desired, host) and is_verified(desired, host))
    if watch_s > 0 and not known:
        yield WatchRelease(host.host, desired.release, watch_s, because)


def tidy(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields the removal of all that the live release has replaced."""
    service, release = desired.service.name, desired.release
    switched = host.edge.route(service) if serves(desired, host) else _live_route(desired, host)
    after = _live_route(desired, host).settle()
    others = [running for running in host.running_releases(service) if running != release.id]
    if switched != after:
        yield SettleEdge(host.host, after, f"only {release.id} is live")
    yield from stack_steps.stop_old(desired, host)
    surplus = _surplus(release, host)
    if others or surplus:
        yield AwaitDrained(host.host, DRAIN_DEADLINE_S, "requests in flight finish first")
    once_live = {
        host.edge.live(service),
        *(entry.release for entry in verified(host.ledger, service)),
    }
    for other in others:
        why = "live before" if other in once_live else "never went live"
        # The release that a new one replaces did well; one that never went live or that a rollback replaces did not.
        if desired.is_rollback or other not in once_live:
            yield from log_steps.keep_logs(host, service, host.replicas(service, other), why)
        yield StopRelease(host.host, service, other, why)
    if surplus:
        yield ScaleDown(host.host, surplus, f"scaled to {release.replicas}")
    stable = ((release, "stable"),)
    if not is_live(desired, host) or host.target(service) != targets_digest(host.host, stable):
        yield WriteTargets(host.host, service, stable, "live now")
    yield from _prune(desired, host)
    if host.hold(service):
        yield DropHold(host.host, service, "no candidate is left")


def _surplus(release: Release, host: HostState) -> tuple[str, ...]:
    found = host.replicas(release.service, release.id)
    return tuple(replica.name for replica in found if replica.name not in release.names)


def may_have_been_live(sequence: int, release: str, host: HostState) -> bool:
    """Returns whether lines of the ledger that were lost may have verified a release: on doubt it is not removed."""
    known = {entry.release for entry in host.ledger}
    repaired = [entry.sequence for entry in host.ledger if entry.event == EntryEvent.REPAIRED]
    return release not in known or sequence <= max(repaired, default=0)


def _prune(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields the removal of old releases and images.

    The releases verified last are kept, the target of a rollback among them. Those aren't always the newest ones: after
    a rollback the live release is older than those it replaced. Releases that never went live are removed at once, and
    so are images that no record names, which a kill between a pull and its record leaves, or a new edge or watchdog.
    A release that may have been live counts as one that was, before all others (`may_have_been_live`).
    """
    service, release = desired.service.name, desired.release
    verified_turns = {entry.release: entry.turn for entry in verified(host.ledger, service)}
    own = sorted(
        (r for r in host.releases if r.service == service), key=lambda r: r.sequence, reverse=True
    )
    others = [record for record in own if record.id != release.id]
    by_turn = sorted(
        (r for r in others if r.id in verified_turns), key=lambda r: -verified_turns[r.id]
    )
    doubtful = [
        r
        for r in others
        if r.id not in verified_turns and may_have_been_live(r.sequence, r.id, host)
    ]
    kept = [*by_turn, *doubtful][: desired.keep_releases - 1]
    old = [record for record in others if record not in kept]
    named = (*kept, release, *(r for r in host.releases if r.service != service))
    used = {image for r in named for image in (r.image, r.edge and r.edge.image)}
    used |= {stack.image for stack in desired.stacks}
    repositories = {
        image.partition("@")[0]
        for image in (release.image, *(stack.image for stack in desired.stacks))
    }
    pulled = {image for image in host.images if image.partition("@sha256:")[0] in repositories}
    images = tuple(sorted(({record.image for record in old} | pulled) - used))
    if old or images:
        why = f"keeping {desired.keep_releases}"
        yield Prune(host.host, service, tuple(record.id for record in old), images, why)
