"""Changing the routes of a host's edge, and draining it."""

from __future__ import annotations

import pytest

from deploy.core.commands import locks, paths
from deploy.core.state.edge import EdgeRoute, Upstream
from deploy.core.state.release import make_release
from deploy.errors import VerifyError
from deploy.run.hosts.locked_host import LockedHost
from deploy.run.steps import edges
from deploy.testing import factories
from deploy.testing.fleet.faults import Fault, FaultKind
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import PREVIEW_PORT, MemoryHost
from deploy.testing.fleet.nginx import Nginx

RELEASE = make_release(
    factories.service(),
    factories.image("one"),
    1,
    factories.REPLICA,
    factories.ORIGIN,
    subnet="10.213.0.0/16",
)
ROUTE = EdgeRoute("app", "/", "").offer(Upstream(RELEASE.id, ("10.213.0.65:8080",)))


def host_with_an_edge() -> tuple[Fleet, MemoryHost, Nginx]:
    fleet = Fleet.of("a")
    host, stack = fleet["a"], factories.stacks()[0]
    host.files[locks.TOKEN] = b"mine"
    host.files[paths.ROUTES] = stack.initial_files[0][1].encode()
    host.edges.append(Nginx.started(stack.initial_files[0][1], "one"))
    return fleet, host, host.nginx


def set_route(fleet: Fleet, host: MemoryHost, route: EdgeRoute) -> None:
    edges.set_route(LockedHost(host, "mine", factories.ENTRY), fleet.clock, route, factories.EDGE)


def test_route_is_set_once_new_connections_get_it() -> None:
    fleet, host, nginx = host_with_an_edge()
    set_route(fleet, host, ROUTE)
    assert nginx.text == host.files[paths.ROUTES].decode()
    assert edges.read_edge(host).route("app") == ROUTE


def test_route_that_is_in_force_reloads_nothing() -> None:
    fleet, host, nginx = host_with_an_edge()
    set_route(fleet, host, ROUTE)
    workers = list(nginx.workers)
    set_route(fleet, host, ROUTE)
    assert nginx.workers == workers


def test_configuration_that_nginx_never_loaded_is_loaded() -> None:
    fleet, host, nginx = host_with_an_edge()
    set_route(fleet, host, ROUTE)
    nginx.conf = Nginx.started(factories.stacks()[0].initial_files[0][1]).conf
    set_route(fleet, host, ROUTE)
    assert nginx.conf.find(PREVIEW_PORT, "", "/") is not None


def test_draining_waits_for_workers_that_are_shutting_down() -> None:
    fleet, host, nginx = host_with_an_edge()
    nginx.lingers_s = 40
    set_route(fleet, host, ROUTE)
    begun = fleet.clock.monotonic()
    edges.await_drained(host, fleet.clock, deadline_s=90)
    assert fleet.clock.monotonic() - begun == pytest.approx(40, abs=1)


def test_worker_that_never_ends_is_waited_for_until_the_deadline() -> None:
    fleet, host, nginx = host_with_an_edge()
    nginx.lingers_s = 1000
    set_route(fleet, host, ROUTE)
    assert not edges.await_drained(host, fleet.clock, deadline_s=90)
    assert fleet.clock.monotonic() == pytest.approx(90, abs=2)


def test_workers_that_cannot_be_listed_do_not_count_as_gone() -> None:
    fleet, host, _ = host_with_an_edge()
    fleet.faults.append(Fault("a", 1, FaultKind.FAILS))
    with pytest.raises(VerifyError, match="can't be listed"):
        edges.await_drained(host, fleet.clock, deadline_s=90)
