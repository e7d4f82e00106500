"""Which hosts are fit for a deploy, and what is wrong with the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.core.planning.plan import DesiredState
from deploy.core.planning.preflight import (
    clock_warning,
    needed_bytes,
    oversized,
    unfit,
)
from deploy.core.state.edge import EdgeRoute, EdgeState
from deploy.core.state.host import HostState
from deploy.core.state.release import make_release
from deploy.testing import factories
from deploy.testing.fleet.fleet import Fleet

FIT = HostState(
    "a", engine_version="26.1.5+dfsg1", compose_version="v2.26.1-4", disk_free_bytes=10**9
)


@pytest.mark.parametrize(
    "host", [FIT, replace(FIT, engine_version="28.0.0-rc.1"), replace(FIT, compose_version="5.0.1")]
)
def test_fit_host_has_no_problem(host: HostState) -> None:
    assert unfit(host) == ()


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        (
            replace(FIT, engine_version="20.10.24"),
            "a: its Docker engine 20.10.24 is older than 26; upgrade it",
        ),
        (replace(FIT, engine_version=""), "a: its Docker engine ? is older than 26; upgrade it"),
        (
            replace(FIT, compose_version="2.3"),
            "a: its docker compose 2.3 is older than 2.26; upgrade it",
        ),
        (
            replace(FIT, disk_free_bytes=999_000_000),
            "a: 999 MB of disk are free, 1000 MB are needed; `docker system df` shows what to remove",
        ),
    ],
)
def test_unfit_host_has_a_problem_with_its_fix(host: HostState, problem: str) -> None:
    assert unfit(host) == (problem,)


def _wanted(path: str, replicas: int = 1) -> DesiredState:
    release = make_release(
        factories.service(path=path, replicas=replicas),
        factories.image("one"),
        2,
        factories.REPLICA,
        factories.ORIGIN,
        subnet="10.213.0.0/16",
    )
    return DesiredState(factories.service(path=path, replicas=replicas), release, (), 5)


def test_routes_that_nginx_would_refuse_for_their_size_are_refused_before_anything_is_changed() -> (
    None
):
    environment = Fleet.of("a").environment()
    services = tuple(EdgeRoute(f"s{number:03d}", f"/s{number}", "") for number in range(199))
    full = replace(FIT, edge=EdgeState(services))
    assert oversized(environment, _wanted("/app", replicas=63), full) == ()
    (crowded,) = oversized(
        environment,
        _wanted("/app"),
        replace(full, edge=full.edge.with_route(EdgeRoute("t", "/t", ""))),
    )
    assert "a: it would serve 201 services, at most 200 fit" in crowded
    (long,) = oversized(environment, _wanted("/" + "a" * 4096), FIT)
    assert "a: a line of its routes has" in long


def test_needed_disk_space_is_that_of_unpacked_images() -> None:
    assert needed_bytes(["a", "b", "unknown"], {"a": 10, "b": 5}) == 60
    assert unfit(replace(FIT, disk_free_bytes=60_000_000), needed_bytes=None) == ()
    assert unfit(replace(FIT, disk_free_bytes=40_000_000), needed_bytes=None)
    (problem,) = unfit(FIT, needed_bytes=400_000_000)
    assert "1000 MB of disk are free, 1400 MB are needed" in problem


def test_port_in_use_is_named() -> None:
    host = replace(FIT, listening=frozenset({22, 80}))
    assert unfit(host, ports={80: "the edge", 8081: "its preview"}) == (
        "a: port 80 (the edge) is taken by another program; `ss -ltnp` on that host shows which",
    )


@pytest.mark.parametrize(
    ("now_s", "expected"),
    [
        (0, None),
        (1_000_000_010, None),
        (1_000_003_600, "3600 s ahead of"),
        (999_999_000, "1000 s beh"),
    ],
)
def test_clock_that_is_far_off_gives_a_warning(now_s: float, expected: str | None) -> None:
    warning = clock_warning(replace(FIT, now_s=now_s), "2001-09-09T01:46:40+00:00")
    assert (warning is None) == (expected is None)
    assert (expected or "") in (warning or "")


def test_host_that_could_not_be_observed_has_that_problem_alone() -> None:
    assert unfit(HostState("a", problem="a: no answer")) == ("a: no answer",)


def test_all_problems_are_returned_at_once() -> None:
    assert len(unfit(HostState("a"))) == 3
