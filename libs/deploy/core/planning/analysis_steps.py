"""Plans the analyses of a release: before it has users, with a share of them, and with all of them."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.core.analysis.stage import Stage
from deploy.core.planning import host_steps
from deploy.core.planning.plan import DesiredState, Phase, PhaseKind
from deploy.core.planning.steps import AnalyseRelease, ShareTraffic, Step
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.core.state.release import Release, sequence_of


def preview_analysis(desired: DesiredState, fleet: FleetState) -> Iterator[Phase]:
    """Yields the analysis of the candidate on the preview listener, by synthetic requests only."""
    why = "before any user reaches it"
    if desired.service.gate.paths:
        steps = _analyse(desired, _candidates(desired, fleet), Stage.PREVIEW, 0.0, why)
        yield Phase(PhaseKind.PREVIEW_ANALYSIS, steps)


def canary(desired: DesiredState, fleet: FleetState) -> Iterator[Phase]:
    """Yields the canary: on hosts with a live release the candidate gets a share of the users, then it is analysed."""
    hosts = _candidates(desired, fleet).where(
        lambda host: bool(desired.canary and host.edge.live(desired.service.name))
    )
    why = "before all users reach it"
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
    yield Phase(PhaseKind.CANARY, shares)
    watch_s = desired.service.rollout.watch_s
    steps = _analyse(desired, hosts, Stage.CANARY, watch_s, why)
    yield Phase(PhaseKind.CANARY_ANALYSIS, steps)


def final_analysis(desired: DesiredState, fleet: FleetState) -> Iterator[Phase]:
    """Yields the analysis of all users' requests, compared with those of the old release's last minutes."""
    hosts = fleet.where(
        lambda host: (
            not (host_steps.is_live(desired, host) and host_steps.is_verified(desired, host))
        )
    )
    why = "it must be no worse"
    yield Phase(PhaseKind.ANALYSIS, _analyse(desired, hosts, Stage.USERS, 0.0, why))


def _candidates(desired: DesiredState, fleet: FleetState) -> FleetState:
    return fleet.where(lambda host: not host_steps.is_live(desired, host))


def _analyse(
    desired: DesiredState, hosts: FleetState, stage: Stage, watch_s: float, because: str
) -> tuple[Step, ...]:
    """Returns one step for all hosts: with the fewer requests of a single host a verdict would be wrong more often."""
    if not hosts or desired.is_rollback or not desired.service.gate.enabled:
        return ()
    old = _previous(desired, hosts)
    compared = tuple(host for host in hosts if old is None or _routes_to(host, old))
    names = tuple(host.host for host in compared)
    return (AnalyseRelease(names[0], names, desired.release, old, stage, watch_s, because),)


def _previous(desired: DesiredState, hosts: FleetState) -> Release | None:
    """Returns the newest other release that is live, or was until this one was, and whose record the host has."""
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


def _routes_to(host: HostState, release: Release) -> bool:
    route = host.edge.route(release.service)
    return route is not None and any(upstream.release == release.id for upstream in route.upstreams)
