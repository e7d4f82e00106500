"""Plans the steps that bring one host to the desired state, one function per phase.

A function yields nothing if the host is in the desired state already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from deploy.core.planning import log_steps, stack_steps
from deploy.core.planning.plan import DesiredState
from deploy.core.planning.steps import (
    AwaitDrained,
    AwaitHealthy,
    BeginDraining,
    DropHold,
    EndDraining,
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
from deploy.core.state.draining import DrainingReplica
from deploy.core.state.edge import EdgeRoute
from deploy.core.state.host import Container, HostState
from deploy.core.state.ledger import EntryEvent, verified
from deploy.core.state.release import Release
from deploy.core.state.secrets import changed


def prepare(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields what must be on the host before replicas start: network, images, record, secrets, stacks."""
    name, release = host.host, desired.release
    anew = is_draining(release, host) and _has_other_secrets(release, host)
    if anew:
        names = tuple(replica.name for replica in host.replicas(release.service, release.id))
        yield AwaitDrained(name, desired.service.health.drain_s, "requests in flight finish first")
        yield ReplaceUnhealthy(
            name, names, "their secrets are older than those of the live release"
        )
    if is_draining(release, host):
        yield EndDraining(name, release.service, release.id, "it is wanted again")
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
    if release.secrets and (anew or not host.replicas(release.service, release.id)):
        yield WriteSecrets(name, release, _why_secrets(release, host.live(release.service)))
    yield from stack_steps.start(desired, host)


def _has_other_secrets(release: Release, host: HostState) -> bool:
    live = host.live(release.service)
    return live is not None and bool(changed(live.secrets, release.secrets))


def _why_secrets(release: Release, live: Release | None) -> str:
    if live is not None and (names := changed(live.secrets, release.secrets)):
        return f"changed since {live.id}: {', '.join(names)}"
    return "current values"


def _ready(desired: DesiredState, host: HostState) -> bool:
    replicas = host.replicas(desired.service.name, desired.release.id)
    ready = {replica.name for replica in replicas if replica.ready}
    # Any replica of a drain may end at any moment, until the drain is ended.
    return ready >= set(desired.release.names) and not is_draining(desired.release, host)


def is_draining(release: Release, host: HostState) -> bool:
    """Returns whether the host is about to stop replicas of this release that should run."""
    drain = host.drain(release.service, release.id)
    return drain is not None and drain.names_any(release.names)


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


def tidy(desired: DesiredState, host: HostState, *, hand_over: bool = True) -> Iterator[Step]:
    """Yields the removal of all that the live release has replaced.

    With `hand_over`, releases that were live are left to the host, which stops them when they have drained.
    """
    service, release = desired.service.name, desired.release
    switched = host.edge.route(service) if serves(desired, host) else _live_route(desired, host)
    after = _live_route(desired, host).settle()
    if switched != after:
        yield SettleEdge(host.host, after, f"only {release.id} is live")
    yield from stack_steps.stop_old(desired, host)
    yield from _stop_replaced(desired, host, hand_over=hand_over)
    stable = ((release, "stable"),)
    if not is_live(desired, host) or host.target(service) != targets_digest(host.host, stable):
        yield WriteTargets(host.host, service, stable, "live now")
    yield from _prune(desired, host, hand_over=hand_over)
    if host.hold(service):
        yield DropHold(host.host, service, "no candidate is left")


@dataclass(frozen=True)
class _Replaced:
    """Replicas that the live release doesn't need: all of another release, or the live one's surplus."""

    release: str
    replicas: tuple[Container, ...]


def _replaced(desired: DesiredState, host: HostState) -> Iterator[_Replaced]:
    service, release = desired.service.name, desired.release
    for other in host.running_releases(service):
        if other != release.id:
            yield _Replaced(other, host.replicas(service, other))
    if surplus := _surplus(release, host):
        yield _Replaced(release.id, surplus)


def _is_left_to_the_host(replaced: _Replaced, release: Release, host: HostState) -> bool:
    """Returns whether these replicas are draining, and the host will stop them in time.

    A drain that names replicas of the wanted release ends before it starts (`prepare`).
    """
    service = release.service
    drain = host.drain(service, replaced.release)
    ended = replaced.release == release.id and is_draining(release, host)
    return (
        drain is not None
        and not ended
        and host.finishes_drains
        and not drain.is_overdue(host.now_s)
        and drain.covers(replica.id for replica in replaced.replicas)
    )


def _stop_replaced(desired: DesiredState, host: HostState, *, hand_over: bool) -> Iterator[Step]:
    service, drain_s = desired.service.name, desired.service.health.drain_s
    found = tuple(_replaced(desired, host))
    left = tuple(each for each in found if not _is_left_to_the_host(each, desired.release, host))
    given = tuple(each for each in left if hand_over and _can_hand_over(each, desired, host))
    for each in given:
        yield from _keep_logs(each, desired, host)
        replicas = tuple(DrainingReplica(c.id, c.name, c.address) for c in each.replicas)
        yield BeginDraining(
            host.host, service, each.release, replicas, drain_s, _why_replaced(each, desired, host)
        )
    own = tuple(each for each in left if each not in given)
    yield from _end_drains(found, own, service, host)
    if own:
        yield AwaitDrained(host.host, drain_s, "requests in flight finish first")
    for each in own:
        why = _why_replaced(each, desired, host)
        if each.release == desired.release.id:
            yield ScaleDown(host.host, tuple(c.name for c in each.replicas), why)
        else:
            yield from _keep_logs(each, desired, host)
            yield StopRelease(host.host, service, each.release, why)


def _keep_logs(replaced: _Replaced, desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields a step unless a release that did well is replaced by a new one, or some of its replicas by a scale."""
    did_well = not desired.is_rollback and _was_live(replaced.release, desired, host)
    if replaced.release != desired.release.id and not did_well:
        why = _why_replaced(replaced, desired, host)
        yield from log_steps.keep_logs(host, desired.service.name, replaced.replicas, why)


def _end_drains(
    found: tuple[_Replaced, ...], own: tuple[_Replaced, ...], service: str, host: HostState
) -> Iterator[Step]:
    """Yields the end of drains that this rollout finishes itself, and of those that nobody finishes."""
    running, ours = {each.release for each in found}, {each.release for each in own}
    for drain in host.draining:
        if drain.service != service:
            continue
        if drain.release in ours:
            why = "it is overdue" if drain.is_overdue(host.now_s) else "no watchdog finishes it"
            yield EndDraining(host.host, service, drain.release, why)
        elif drain.release not in running and not host.finishes_drains:
            yield EndDraining(host.host, service, drain.release, "its replicas are gone")


def _can_hand_over(replaced: _Replaced, desired: DesiredState, host: HostState) -> bool:
    """Returns whether the host can stop these replicas: a watchdog does so, and no earlier drain of theirs has failed.

    A release that was never verified is pruned with this rollout, so its replicas must be gone by then.
    """
    service = desired.service.name
    drain = host.drain(service, replaced.release)
    failed = drain is not None and drain.is_overdue(host.now_s)
    known = {entry.release for entry in verified(host.ledger, service)}
    keeps = replaced.release in {desired.release.id, *known}
    return host.finishes_drains and not failed and keeps


def _was_live(release: str, desired: DesiredState, host: HostState) -> bool:
    service = desired.service.name
    known = {entry.release for entry in verified(host.ledger, service)}
    return release in {desired.release.id, host.edge.live(service), *known}


def _why_replaced(replaced: _Replaced, desired: DesiredState, host: HostState) -> str:
    if replaced.release == desired.release.id:
        return f"scaled to {desired.release.replicas}"
    return "live before" if _was_live(replaced.release, desired, host) else "never went live"


def _surplus(release: Release, host: HostState) -> tuple[Container, ...]:
    found = host.replicas(release.service, release.id)
    return tuple(replica for replica in found if replica.name not in release.names)


def may_have_been_live(sequence: int, release: str, host: HostState) -> bool:
    """Returns whether lines of the ledger that were lost may have verified a release: on doubt it is not removed."""
    known = {entry.release for entry in host.ledger}
    repaired = [entry.sequence for entry in host.ledger if entry.event == EntryEvent.REPAIRED]
    return release not in known or sequence <= max(repaired, default=0)


def _prune(desired: DesiredState, host: HostState, *, hand_over: bool) -> Iterator[Step]:
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
    draining = {
        each.release
        for each in _replaced(desired, host)
        if _is_left_to_the_host(each, desired.release, host)
        or (hand_over and _can_hand_over(each, desired, host))
    }
    kept += [record for record in others if record not in kept and record.id in draining]
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
