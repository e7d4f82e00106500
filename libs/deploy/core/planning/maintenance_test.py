"""Plans of maintenance, as text."""

from __future__ import annotations

from deploy.core.planning.maintenance import (
    live_somewhere,
    plan_maintenance,
    plan_maintenance_back,
)
from deploy.core.state.edge import (
    EdgeRoute,
    EdgeState,
    Upstream,
)
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState

LIVE = "r000001-aaaaaaa"


def host(name: str, *, closed: bool = False, live: str = LIVE) -> HostState:
    upstreams = (Upstream(LIVE, ("10.213.0.65:8080",)),)
    route = EdgeRoute("app", "/", "", live, "", upstreams, maintenance=closed)
    return HostState(name, edge=EdgeState((route,)))


def test_hosts_that_are_closed_already_or_serve_nothing_are_left() -> None:
    hosts = (host("a"), host("b", closed=True), host("c", live=""), HostState("d"))
    assert plan_maintenance("app", FleetState(hosts), on=True).lines() == (
        "maintenance:",
        "  a: SetMaintenance app on (a person asked for it)",
        "  a: AwaitDrained (requests in flight finish first)",
    )
    assert live_somewhere("app", FleetState(hosts))
    assert not live_somewhere("app", FleetState(hosts[2:]))


def test_what_is_as_wanted_is_an_empty_plan() -> None:
    assert plan_maintenance("app", FleetState((host("a"),)), on=False).phases == ()


def test_the_way_back_is_each_host_s_own() -> None:
    before = (host("a"), host("b", closed=True))
    now = (host("a", closed=True), host("b", closed=True))
    assert plan_maintenance_back("app", FleetState(before), FleetState(now)).lines() == (
        "maintenance:",
        "  a: SetMaintenance app off (as it was before)",
        "  a: AwaitDrained (who kept a connection still meets the page)",
    )
