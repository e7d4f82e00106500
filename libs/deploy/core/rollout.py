"""The only place that decides: from what is wanted and what was seen to a plan; never does any of it.

There is no undo: a failed deploy is taken back by planning for the release that served before, from a fresh look at
the hosts. So the way back is made of the same steps as the way there, whatever was half done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from deploy.core.config import Service
from deploy.core.edge import EdgeRoute
from deploy.core.ledger import verified
from deploy.core.monitoring import targets_digest
from deploy.core.observed import Container, Observed, last_verified
from deploy.core.releases import Release, sequence_of
from deploy.core.steps import (
    AwaitDrained,
    AwaitHealthy,
    OfferCandidate,
    Part,
    PointTraffic,
    PrepareHost,
    Prune,
    PullImages,
    RecordLive,
    RemoveReplicas,
    SettleEdge,
    StartPart,
    StartReplicas,
    Step,
    StopReplicas,
    VerifyOutside,
    VerifyPreview,
    WriteRelease,
    WriteTargets,
    describe,
)

# nginx ends its old workers by worker_shutdown_timeout (75 s, deploy/nginx/nginx.conf); a little longer is enough.
DRAIN_DEADLINE_S = 90.0


@dataclass(frozen=True)
class Phase:
    """Steps of all hosts that must be over before the next phase; hosts run side by side or `one_by_one`.

    A failure in a `reversible` phase sends every host back to the last verified release; a failure in
    another leaves the new release live, and the next deploy does what is left. In an `independent` phase a host
    that fails stops no other.
    """

    name: str
    steps: tuple[Step, ...]
    reversible: bool = True
    one_by_one: bool = False
    independent: bool = False


@dataclass(frozen=True)
class Plan:
    """What will be done, whole. `release` None means that nothing is to be live. Empty: all is as wanted."""

    service: str
    release: Release | None
    previous: str
    phases: tuple[Phase, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in the order of the phases."""
        return tuple(step for phase in self.phases for step in phase.steps)

    def lines(self) -> tuple[str, ...]:
        """The plan as text: each phase's name, then a line a step."""
        return tuple(
            line
            for phase in self.phases
            for line in (f"{phase.name}:", *(f"  {describe(step)}" for step in phase.steps))
        )


@dataclass(frozen=True)
class Wanted:
    """What every host should run: this release, these parts beside it, this many releases kept."""

    service: Service
    release: Release
    parts: tuple[Part, ...]
    keep_releases: int


def adopt(
    service: Service, image: str, hashed: str, observed: tuple[Observed, ...]
) -> Release | None:
    """Returns the newest release that runs somewhere and is what is wanted; None if one must be made.

    A deploy that was killed half way is finished this way: what it had started is adopted, not started again.
    """
    wanted = (image, hashed, service.replicas)
    found = [
        release
        for host in observed
        for release in host.releases
        if release.service == service.name
        and (release.image, release.config_hash, release.replicas) == wanted
        and (host.edge.live(service.name) == release.id or host.replicas(service.name, release.id))
    ]
    return max(found, key=lambda release: release.sequence, default=None)


def plan_deploy(wanted: Wanted, observed: tuple[Observed, ...]) -> Plan:
    """Plans what brings every host to the wanted release; empty if every host already is there."""
    reversible = (
        Phase("prepare", _each(_prepare, wanted, observed)),
        Phase("renew", _each(_renew, wanted, observed), one_by_one=True),
        Phase("start", _each(_start, wanted, observed)),
        Phase("preview", _each(_preview, wanted, observed)),
        Phase("switch", _each(_switch, wanted, observed), one_by_one=True),
        Phase("verify", _each(_verify, wanted, observed)),
    )
    tidy = Phase("tidy", _each(_tidy, wanted, observed), reversible=False)
    changes = any(phase.steps for phase in (*reversible, tidy))
    record = Phase("record", _record(wanted, observed, changes=changes), reversible=False)
    name = wanted.service.name
    live = {host.edge.live(name) for host in observed} - {"", wanted.release.id}
    previous = max(live, key=sequence_of, default="")
    phases = (*reversible, record, tidy)
    return Plan(name, wanted.release, previous, tuple(phase for phase in phases if phase.steps))


def half_done(wanted: Wanted, observed: tuple[Observed, ...]) -> bool:
    """True if some host has not even what a deploy of this does last; a replica that ails is no such thing."""
    return any(phase.name == "tidy" for phase in plan_deploy(wanted, observed).phases)


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
            lost = tuple(
                part for part in wanted.parts if was.part(part.name) and not now.part(part.name)
            )
            steps += _back(replace(wanted, release=to, parts=lost), now)
    phases = (Phase("back", tuple(steps), independent=True),) if steps else ()
    return Plan(service, to, "", phases)


def _back(there: Wanted, host: Observed) -> Iterator[Step]:
    """A host that serves the right release is only tidied: how well its replicas do is none of this attempt's."""
    if not _is_live(there, host):
        for make in (_prepare, _start, _preview, _switch, _verify):
            yield from make(there, host)
    elif there.parts:
        yield from _prepare(there, host)
        yield from _verify(there, host)
    yield from _tidy(there, host)


def _clear(service: str, host: Observed) -> Iterator[Step]:
    """Nothing live, nothing left of the attempt; the edge stays and answers 503."""
    name, route, running = host.host, host.edge.route(service), host.running_releases(service)
    if route is not None and route.upstreams:
        nothing = replace(route, live="", candidate="", upstreams=())
        yield SettleEdge(name, nothing, "no release was ever verified")
    if host.target(service) and host.target(service) != targets_digest(name, ()):
        yield WriteTargets(name, service, (), "nothing is live")
    if running:
        yield AwaitDrained(name, DRAIN_DEADLINE_S, "requests in flight finish first")
    for each in running:
        yield StopReplicas(name, service, each, "it never went live")
    if records := tuple(r.id for r in host.releases if r.service == service):
        yield Prune(name, service, records, (), "it never went live")


def _each(
    make: Callable[[Wanted, Observed], Iterator[Step]],
    wanted: Wanted,
    observed: tuple[Observed, ...],
) -> tuple[Step, ...]:
    return tuple(step for host in observed for step in make(wanted, host))


def _prepare(wanted: Wanted, host: Observed) -> Iterator[Step]:
    name, release = host.host, wanted.release
    if not host.network:
        yield PrepareHost(name, "the host is new")
    images = dict.fromkeys([release.image, *(part.image for part in wanted.parts)])
    if missing := tuple(image for image in images if image not in host.images):
        yield PullImages(name, missing, "not on the host")
    if not host.release(release.service, release.id):
        yield WriteRelease(name, release, "the host doesn't have its record")
    for part in wanted.parts:
        if not host.part(part.name):
            yield StartPart(name, part, "it doesn't run")


def _renew(wanted: Wanted, host: Observed) -> Iterator[Step]:
    """A new edge doesn't take over from the old one without a moment of neither, so not on all hosts at once."""
    for part in wanted.parts:
        if host.part(part.name) not in ("", part.key):
            yield StartPart(host.host, part, "its image or configuration changed")


def _ready(wanted: Wanted, host: Observed) -> bool:
    seen = {c.name for c in host.replicas(wanted.service.name, wanted.release.id) if c.ready}
    return seen >= set(wanted.release.names)


def _is_live(wanted: Wanted, host: Observed) -> bool:
    return host.edge.live(wanted.service.name) == wanted.release.id


def _start(wanted: Wanted, host: Observed) -> Iterator[Step]:
    if _ready(wanted, host):
        return
    release, health = wanted.release, wanted.service.health
    live = _is_live(wanted, host)
    if sick := _sick(release, host):
        states = sorted({c.condition for c in sick})
        yield RemoveReplicas(
            host.host, tuple(c.name for c in sick), f"{', '.join(states)}: started anew"
        )
    yield StartReplicas(
        host.host, release, "not all its replicas are ready" if live else "it is to be live"
    )
    yield AwaitHealthy(
        host.host,
        release,
        deadline_s=health.startup_deadline_s,
        min_healthy_s=health.min_healthy_s,
        because="no replica gets traffic before it is healthy",
    )
    if not live:
        stable = host.live(release.service)
        targets = ((stable, "stable"),) if stable else ()
        why = "a candidate is seen before it gets traffic"
        yield WriteTargets(host.host, release.service, (*targets, (release, "candidate")), why)


def _sick(release: Release, host: Observed) -> tuple[Container, ...]:
    """Replicas that won't become ready by waiting, as far as one look tells."""
    found = (c for c in host.replicas(release.service, release.id) if not c.ready)
    return tuple(
        c for c in found if c.state != "running" or c.health == "unhealthy" or c.restarts > 0
    )


def _offered(wanted: Wanted, host: Observed) -> EdgeRoute:
    """The service's route as it is, with the release as its candidate."""
    found = host.edge.route(wanted.service.name)
    wants = wanted.release.route
    route = found or EdgeRoute(wanted.service.name, wants.path, wants.host)
    return route.offer(wanted.release.upstream)


def _pointed(wanted: Wanted, host: Observed) -> EdgeRoute:
    """The service's route with the release live, where the release wants to be found."""
    route = wanted.release.route
    pointed = _offered(wanted, host).point(wanted.release.id)
    return replace(pointed, path=route.path, host=route.host)


def _preview(wanted: Wanted, host: Observed) -> Iterator[Step]:
    if not _is_live(wanted, host):
        why = "seen answering before it gets traffic"
        route = _offered(wanted, host)
        yield OfferCandidate(host.host, route, wanted.release, why)
        yield VerifyPreview(host.host, wanted.release, route, wanted.service.health.successes, why)


def _switch(wanted: Wanted, host: Observed) -> Iterator[Step]:
    if not _is_live(wanted, host):
        live = host.edge.live(wanted.service.name)
        yield PointTraffic(
            host.host, _pointed(wanted, host), wanted.release, f"{live or 'nothing'} is live"
        )


def _unproven(wanted: Wanted, host: Observed) -> bool:
    renewed = any(host.part(part.name) != part.key for part in wanted.parts)
    return renewed or not _is_live(wanted, host) or not _ready(wanted, host)


def _verify(wanted: Wanted, host: Observed) -> Iterator[Step]:
    last = verified(host.ledger, wanted.service.name)
    if _unproven(wanted, host) or not last or last[-1].release != wanted.release.id:
        why = "only what answers from outside is live"
        yield VerifyOutside(host.host, wanted.release, _pointed(wanted, host), why)


def _record(wanted: Wanted, observed: tuple[Observed, ...], *, changes: bool) -> tuple[Step, ...]:
    """Every host's ledger says the same: where one lacks the record or anything else is done, all get it."""
    name, release = wanted.service.name, wanted.release
    known = [verified(host.ledger, name) for host in observed]
    same = all(entries and entries[-1].release == release.id for entries in known)
    if same and not changes and last_verified(observed, name) == release.id:
        return ()
    because = "the way back is to what answered from outside"
    return tuple(RecordLive(host.host, release, because) for host in observed)


def _tidy(wanted: Wanted, host: Observed) -> Iterator[Step]:
    service, release = wanted.service.name, wanted.release
    after = _pointed(wanted, host).settle()
    others = [each for each in host.running_releases(service) if each != release.id]
    if host.edge.route(service) != after:
        yield SettleEdge(host.host, after, f"only {release.id} is served")
    if others:
        yield AwaitDrained(host.host, DRAIN_DEADLINE_S, "requests in flight finish first")
    proven = {host.edge.live(service), *(entry.release for entry in verified(host.ledger, service))}
    for other in others:
        why = "it was live before" if other in proven else "it never went live"
        yield StopReplicas(host.host, service, other, why)
    stable = ((release, "stable"),)
    if not _is_live(wanted, host) or host.target(service) != targets_digest(host.host, stable):
        yield WriteTargets(host.host, service, stable, "only what is live is scraped")
    yield from _prune(wanted, host)


def _prune(wanted: Wanted, host: Observed) -> Iterator[Step]:
    """Keeps the newest releases that were once verified; what never went live goes at once."""
    service, release = wanted.service.name, wanted.release
    proven = {entry.release for entry in verified(host.ledger, service)}
    mine = sorted(
        (r for r in host.releases if r.service == service), key=lambda r: r.sequence, reverse=True
    )
    others = [each for each in mine if each.id != release.id]
    kept = [each for each in others if each.id in proven][: wanted.keep_releases - 1]
    old = [each for each in others if each not in kept]
    if not old:
        return
    held = {each.image for each in (*kept, release)} | {
        r.image for r in host.releases if r.service != service
    }
    images = tuple(sorted({each.image for each in old} - held))
    why = f"{wanted.keep_releases} releases are kept, and none that never went live"
    yield Prune(host.host, service, tuple(each.id for each in old), images, why)
