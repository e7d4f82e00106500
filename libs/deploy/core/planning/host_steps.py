"""What one host needs to come from how it is to what is wanted, move by move; never looks at another host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from deploy.core.planning import stack_steps
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
from deploy.core.state.ledger import verified
from deploy.core.state.release import Release
from deploy.core.state.secrets import changed

# nginx ends its old workers by worker_shutdown_timeout (90 s, deploy/nginx/nginx.conf); a little longer is enough.
DRAIN_DEADLINE_S = 105.0


def prepare(desired: DesiredState, host: HostState) -> Iterator[Step]:
    name, release = host.host, desired.release
    if not host.network:
        yield PrepareHost(name, "the host is new")
    images = dict.fromkeys([release.image, *(stack.image for stack in desired.stacks)])
    if missing := tuple(image for image in images if image not in host.images):
        yield PullImages(name, missing, "not on the host")
    known = host.release(release.service, release.id)
    if known is None:
        yield WriteRelease(name, release, "the host doesn't have its record")
    elif known != release:
        same = known.replicas == release.replicas
        why = "another edge serves it now" if same else f"it has {known.replicas} replicas"
        yield WriteRelease(name, release, why)
    if release.secrets and not host.replicas(release.service, release.id):
        yield WriteSecrets(name, release, _why_secrets(release, host.live(release.service)))
    yield from stack_steps.start(desired, host)


def _why_secrets(release: Release, live: Release | None) -> str:
    if live is not None and (names := changed(live.secrets, release.secrets)):
        return f"other than in {live.id}: {', '.join(names)}"
    return "today's values, before it starts"


def _ready(desired: DesiredState, host: HostState) -> bool:
    seen = {c.name for c in host.replicas(desired.service.name, desired.release.id) if c.ready}
    return seen >= set(desired.release.names)


def is_live(desired: DesiredState, host: HostState) -> bool:
    return host.edge.live(desired.service.name) == desired.release.id


def serves(desired: DesiredState, host: HostState) -> bool:
    """True if the release is live and the edge knows all its replicas, and no others."""
    route = host.edge.route(desired.service.name)
    return (
        is_live(desired, host) and route is not None and desired.release.upstream in route.upstreams
    )


def start(desired: DesiredState, host: HostState) -> Iterator[Step]:
    release, health = desired.release, desired.service.health
    live, ready = is_live(desired, host), _ready(desired, host)
    if live and ready:
        return
    if sick := () if ready else _sick(release, host):
        states = sorted({c.condition for c in sick})
        yield ReplaceUnhealthy(
            host.host, tuple(c.name for c in sick), f"{', '.join(states)}: started anew"
        )
    if not ready:
        why = "not all its replicas are ready" if live else "it is to be live"
        yield StartReplicas(host.host, release, why)
    yield AwaitHealthy(
        host.host,
        release,
        startup_deadline_s=health.startup_deadline_s,
        deadline_s=health.healthy_deadline_s,
        # What was live before was steady then, and whoever goes back has no time.
        min_healthy_s=health.min_healthy_s if desired.judged else 0.0,
        because="no replica gets traffic before it is healthy",
    )
    if not live:
        yield from _candidate_targets(release, host)


def _candidate_targets(release: Release, host: HostState) -> Iterator[Step]:
    stable = host.live(release.service)
    targets = (*(((stable, "stable"),) if stable else ()), (release, "candidate"))
    if host.target(release.service) != targets_digest(host.host, targets):
        why = "a candidate is seen before it gets traffic"
        yield WriteTargets(host.host, release.service, targets, why)


def _sick(release: Release, host: HostState) -> tuple[Container, ...]:
    """Replicas that won't become ready by waiting, as far as one look tells."""
    found = (c for c in host.replicas(release.service, release.id) if not c.ready)
    return tuple(
        c for c in found if c.state != "running" or c.health == "unhealthy" or c.restarts > 0
    )


def with_candidate(desired: DesiredState, host: HostState) -> EdgeRoute:
    """The service's route as it is, with the release as its candidate."""
    found = host.edge.route(desired.service.name)
    wants = desired.release.route
    route = found or EdgeRoute(desired.service.name, wants.path, wants.host)
    return route.offer(desired.release.upstream)


def _pointed(desired: DesiredState, host: HostState) -> EdgeRoute:
    """The service's route with the release live, where the release wants to be found."""
    wants, offered = desired.release.route, with_candidate(desired, host)
    if is_live(desired, host):
        before = host.edge.route(desired.service.name)
        offered = replace(offered, candidate=before.candidate if before else "")
    return replace(offered.point(desired.release.id), path=wants.path, host=wants.host)


def preview(desired: DesiredState, host: HostState) -> Iterator[Step]:
    if not is_live(desired, host):
        why, health = "seen answering before it gets traffic", desired.service.health
        route = with_candidate(desired, host)
        yield OfferCandidate(host.host, route, desired.release, why)
        yield VerifyPreview(
            host.host, desired.release, route, health.successes, health.path, because=why
        )


def switch(desired: DesiredState, host: HostState) -> Iterator[Step]:
    if not serves(desired, host):
        live = host.edge.live(desired.service.name)
        why = "it has other replicas" if is_live(desired, host) else f"{live or 'nothing'} is live"
        yield PointTraffic(host.host, _pointed(desired, host), desired.release, why)


def _unproven(desired: DesiredState, host: HostState) -> bool:
    renewed = stack_steps.renewed(desired, host)
    return renewed or not serves(desired, host) or not _ready(desired, host)


def verify(desired: DesiredState, host: HostState) -> Iterator[Step]:
    if _unproven(desired, host) or not is_verified(desired, host):
        why = "only what answers from outside is live"
        yield VerifyOutside(host.host, desired.release, _pointed(desired, host), why)


def is_verified(desired: DesiredState, host: HostState) -> bool:
    """True if the host's ledger says that the release was the last to be verified."""
    last = verified(host.ledger, desired.service.name)
    return bool(last) and last[-1].release == desired.release.id


def watch(desired: DesiredState, host: HostState, watch_s: float, because: str) -> Iterator[Step]:
    """A release that was verified here before was watched then."""
    if (
        desired.judged
        and watch_s > 0
        and not (is_live(desired, host) and is_verified(desired, host))
    ):
        yield WatchRelease(host.host, desired.release, watch_s, because)


def tidy(desired: DesiredState, host: HostState) -> Iterator[Step]:
    service, release = desired.service.name, desired.release
    switched = host.edge.route(service) if serves(desired, host) else _pointed(desired, host)
    after = _pointed(desired, host).settle()
    others = [each for each in host.running_releases(service) if each != release.id]
    if switched != after:
        yield SettleEdge(host.host, after, f"only {release.id} is served")
    yield from stack_steps.retire(desired, host)
    surplus = _surplus(release, host)
    if others or surplus:
        yield AwaitDrained(host.host, DRAIN_DEADLINE_S, "requests in flight finish first")
    proven = {host.edge.live(service), *(entry.release for entry in verified(host.ledger, service))}
    for other in others:
        why = "it was live before" if other in proven else "it never went live"
        yield StopRelease(host.host, service, other, why)
    if surplus:
        yield ScaleDown(host.host, surplus, f"{release.replicas} are wanted")
    stable = ((release, "stable"),)
    if not is_live(desired, host) or host.target(service) != targets_digest(host.host, stable):
        yield WriteTargets(host.host, service, stable, "only what is live is scraped")
    yield from _prune(desired, host)
    if host.hold(service):
        yield DropHold(host.host, service, "nothing is held any more")


def _surplus(release: Release, host: HostState) -> tuple[str, ...]:
    found = host.replicas(release.service, release.id)
    return tuple(each.name for each in found if each.name not in release.names)


def _prune(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Keeps the releases that were verified last, the way back among them; what never went live goes at once.

    Not the newest ones: after a rollback the live release is older than those that were gone back from. With them go
    the images that no record names: a kill between a pull and its record leaves one, and each new edge or
    watchdog the one before it.
    """
    service, release = desired.service.name, desired.release
    proven = {entry.release: entry.turn for entry in verified(host.ledger, service)}
    mine = sorted(
        (r for r in host.releases if r.service == service), key=lambda r: r.sequence, reverse=True
    )
    others = [each for each in mine if each.id != release.id]
    last = sorted((each for each in others if each.id in proven), key=lambda r: -proven[r.id])
    kept = last[: desired.keep_releases - 1]
    old = [each for each in others if each not in kept]
    named = (*kept, release, *(r for r in host.releases if r.service != service))
    held = {image for each in named for image in (each.image, each.edge and each.edge.image)}
    held |= {stack.image for stack in desired.stacks}
    ours = {
        image.partition("@")[0] for image in (release.image, *(p.image for p in desired.stacks))
    }
    known = {image for image in host.images if image.partition("@sha256:")[0] in ours}
    images = tuple(sorted(({each.image for each in old} | known) - held))
    if not old and not images:
        return
    why = f"{desired.keep_releases} releases are kept, and none that never went live"
    yield Prune(host.host, service, tuple(each.id for each in old), images, why)
