"""Plans when a release is analysed, and how many users it serves by then. `core.analysis.verdict` decides."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.core.analysis.stage import Stage
from deploy.core.planning import host_steps
from deploy.core.planning.plan import DesiredState, Phase
from deploy.core.planning.steps import (
    AnalyseRelease,
    ShareTraffic,
    Step,
)
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.core.state.release import Release, sequence_of


def before_users(desired: DesiredState, fleet: FleetState) -> Iterator[Phase]:
    """The candidate is judged on the preview listener, by synthetic requests alone."""
    why = "no user meets what fails or is slower than before"
    if desired.service.gate.paths:
        yield Phase(
            "trial", _analyse(desired, _candidates(desired, fleet), Stage.PREVIEW, 0.0, why)
        )


def with_a_share(desired: DesiredState, fleet: FleetState) -> Iterator[Phase]:
    """A share of the users is sent to the candidate where another release is live, and it is judged by them."""
    hosts = _candidates(desired, fleet).where(
        lambda host: bool(desired.canary and host.edge.live(desired.service.name))
    )
    why = f"{desired.canary} % of the users meet it first"
    shares = tuple(
        ShareTraffic(
            host.host,
            host_steps.with_candidate(desired, host).share_out(desired.canary),
            desired.release,
            desired.canary,
            why,
        )
        for host in hosts
    )
    yield Phase("canary", shares)
    watch_s = desired.service.rollout.watch_s
    yield Phase("judge canary", _analyse(desired, hosts, Stage.CANARY, watch_s, why))


def under_users(desired: DesiredState, fleet: FleetState) -> Iterator[Phase]:
    """All users have met it: it is judged by what they got, against the old release's last minutes."""
    hosts = fleet.where(
        lambda host: (
            not (host_steps.is_live(desired, host) and host_steps.is_verified(desired, host))
        )
    )
    yield Phase(
        "judge", _analyse(desired, hosts, Stage.USERS, 0.0, "it stays only if it is no worse")
    )


def _candidates(desired: DesiredState, fleet: FleetState) -> FleetState:
    return fleet.where(lambda host: not host_steps.is_live(desired, host))


def _analyse(
    desired: DesiredState, hosts: FleetState, stage: Stage, watch_s: float, because: str
) -> tuple[Step, ...]:
    """One step for all hosts: a verdict on each alone would have less to go by, and more chances to be wrong."""
    if not (hosts and desired.judged and desired.service.gate.enabled):
        return ()
    old = _previous(desired, hosts)
    compared = tuple(each for each in hosts if old is None or _has(each, old))
    names = tuple(each.host for each in compared)
    return (AnalyseRelease(names[0], names, desired.release, old, stage, watch_s, because),)


def _previous(desired: DesiredState, hosts: FleetState) -> Release | None:
    """The newest other release that an edge still knows, and whose record its host has."""
    found = [
        record
        for host in hosts
        if (route := host.edge.route(desired.service.name))
        for upstream in route.upstreams
        if upstream.release != desired.release.id
        and (record := host.release(desired.service.name, upstream.release))
        and (upstream.release == route.live or route.live == desired.release.id)
    ]
    return max(found, key=lambda record: sequence_of(record.id), default=None)


def _has(host: HostState, release: Release) -> bool:
    route = host.edge.route(release.service)
    return route is not None and any(each.release == release.id for each in route.upstreams)
