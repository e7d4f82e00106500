"""Plans when a release is analysed, and how many users it serves by then. `core.analysis.verdict` decides."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.core.planning import host_steps
from deploy.core.planning.plan import Phase, Wanted
from deploy.core.planning.steps import (
    JudgeRelease,
    ShareTraffic,
    Step,
)
from deploy.core.state.observed import Observed
from deploy.core.state.release import Release, sequence_of


def before_users(wanted: Wanted, observed: tuple[Observed, ...]) -> Iterator[Phase]:
    """The candidate is judged on the preview listener, by synthetic requests alone."""
    why = "no user meets what fails or is slower than before"
    if wanted.service.gate.paths:
        yield Phase("trial", _judge(wanted, _candidates(wanted, observed), "trial", 0.0, why))


def with_a_share(wanted: Wanted, observed: tuple[Observed, ...]) -> Iterator[Phase]:
    """A share of the users is sent to the candidate where another release is live, and it is judged by them."""
    hosts = tuple(
        host
        for host in _candidates(wanted, observed)
        if wanted.canary and host.edge.live(wanted.service.name)
    )
    why = f"{wanted.canary} % of the users meet it first"
    shares = tuple(
        ShareTraffic(
            host.host,
            host_steps.with_candidate(wanted, host).share_out(wanted.canary),
            wanted.release,
            wanted.canary,
            why,
        )
        for host in hosts
    )
    yield Phase("canary", shares)
    watch_s = wanted.service.rollout.watch_s
    yield Phase("judge canary", _judge(wanted, hosts, "canary", watch_s, why))


def under_users(wanted: Wanted, observed: tuple[Observed, ...]) -> Iterator[Phase]:
    """All users have met it: it is judged by what they got, against the old release's last minutes."""
    hosts = tuple(
        host
        for host in observed
        if not (host_steps.is_live(wanted, host) and host_steps.is_verified(wanted, host))
    )
    yield Phase("judge", _judge(wanted, hosts, "users", 0.0, "it stays only if it is no worse"))


def _candidates(wanted: Wanted, observed: tuple[Observed, ...]) -> tuple[Observed, ...]:
    return tuple(host for host in observed if not host_steps.is_live(wanted, host))


def _judge(
    wanted: Wanted, hosts: tuple[Observed, ...], stage: str, watch_s: float, because: str
) -> tuple[Step, ...]:
    """One step for all hosts: a verdict on each alone would have less to go by, and more chances to be wrong."""
    if not (hosts and wanted.judged and wanted.service.gate.enabled):
        return ()
    old = _previous(wanted, hosts)
    compared = tuple(each for each in hosts if old is None or _has(each, old))
    names = tuple(each.host for each in compared)
    return (JudgeRelease(names[0], names, wanted.release, old, stage, watch_s, because),)


def _previous(wanted: Wanted, hosts: tuple[Observed, ...]) -> Release | None:
    """The newest other release that an edge still knows, and whose record its host has."""
    found = [
        record
        for host in hosts
        if (route := host.edge.route(wanted.service.name))
        for upstream in route.upstreams
        if upstream.release != wanted.release.id
        and (record := host.release(wanted.service.name, upstream.release))
        and (upstream.release == route.live or route.live == wanted.release.id)
    ]
    return max(found, key=lambda record: sequence_of(record.id), default=None)


def _has(host: Observed, release: Release) -> bool:
    route = host.edge.route(release.service)
    return route is not None and any(each.release == release.id for each in route.upstreams)
