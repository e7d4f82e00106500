"""Plans of maintenance, as text."""

from __future__ import annotations

from deploy.core.planning.maintenance import (
    plan_maintenance,
    plan_maintenance_revert,
)
from deploy.core.state.edge import (
    EdgeRoute,
    EdgeState,
    Upstream,
)
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState

LIVE = "r000001-aaaaaaa"


def host(name: str, *, closed: bool = False, live: str | None = LIVE) -> HostState:
    upstreams = (Upstream(LIVE, ("10.213.0.65:8080",)),)
    route = EdgeRoute("app", "/", "", live, None, upstreams, maintenance=closed)
    return HostState(name, edge=EdgeState((route,)))


def test_plan_leaves_out_hosts_that_are_closed_or_serve_nothing() -> None:
    hosts = (host("a"), host("b", closed=True), host("c", live=None), HostState("d"))
    assert plan_maintenance("app", FleetState(hosts), on=True).lines() == (
        "maintenance:",
        "  a: turn on maintenance of app (requested)",
        "  a: wait for connections to drain (requests in flight finish first)",
    )
    assert FleetState(hosts).live_ids("app") == {LIVE}
    assert FleetState(hosts[2:]).live_ids("app") == set()


def test_plan_is_empty_when_the_service_is_open_already() -> None:
    assert plan_maintenance("app", FleetState((host("a"),)), on=False).phases == ()


def test_revert_closes_or_opens_each_host_as_it_was() -> None:
    before = (host("a"), host("b", closed=True))
    now = (host("a", closed=True), host("b", closed=True))
    assert plan_maintenance_revert("app", FleetState(before), FleetState(now)).lines() == (
        "revert:",
        "  a: turn off maintenance of app (as it was before)",
        "  a: wait for connections to drain (kept connections still get the page)",
    )
