"""How far a service's rollout is on a host, from the edge's route and the running containers."""

from __future__ import annotations

import pytest

from deploy.core.state.drift import ServicePhase, phase
from deploy.core.state.edge import EdgeRoute, EdgeState
from deploy.core.state.host import Container, HostState
from deploy.testing import factories

SERVICE = factories.service()
OLDER, LIVE, NEWER = "r999999-3f9c2ab", "r1000000-3f9c2ab", "r1000001-3f9c2ab"


def host(live: str | None, *running: str, candidate: str | None = None) -> HostState:
    containers = tuple(
        Container(release, f"app-{release}-1", "app", release, "", "running", "healthy", "")
        for release in running
    )
    edge = EdgeState((EdgeRoute("app", "/", "", live, candidate),))
    return HostState("a", containers=containers, edge=edge)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (HostState("a", problem="a: no route to host"), ServicePhase.UNREACHABLE),
        (HostState("a"), ServicePhase.EMPTY),
        (host(None), ServicePhase.EMPTY),
        (host(None, LIVE), ServicePhase.STARTING),
        (host(OLDER, OLDER, LIVE, candidate=LIVE), ServicePhase.CANDIDATE),
        (host(LIVE, LIVE), ServicePhase.LIVE),
        (host(LIVE, LIVE, candidate=LIVE), ServicePhase.LIVE),
    ],
)
def test_phase_follows_the_route_and_the_containers(
    state: HostState, expected: ServicePhase
) -> None:
    assert phase(SERVICE, state) is expected


def test_releases_are_ordered_by_sequence_and_not_by_text() -> None:
    assert OLDER > LIVE  # as text
    assert phase(SERVICE, host(LIVE, OLDER, LIVE)) is ServicePhase.DRAINING
    assert phase(SERVICE, host(OLDER, OLDER, LIVE)) is ServicePhase.STARTING
    assert phase(SERVICE, host(LIVE, LIVE, NEWER)) is ServicePhase.STARTING
