"""Which hosts are fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.core.planning.preflight import (
    needed_bytes,
    skew,
    unfit,
)
from deploy.core.state.host import HostState

FIT = HostState(
    "a", engine_version="26.1.5+dfsg1", compose_version="v2.26.1-4", disk_free_bytes=10**9
)


@pytest.mark.parametrize(
    "host", [FIT, replace(FIT, engine_version="28.0.0-rc.1"), replace(FIT, compose_version="5.0.1")]
)
def test_a_fit_host(host: HostState) -> None:
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
            "a: 999 MB of disk are free where 1000 MB are needed; `docker system df` shows what to remove",
        ),
    ],
)
def test_an_unfit_host(host: HostState, problem: str) -> None:
    assert unfit(host) == (problem,)


def test_an_image_needs_its_room_unpacked() -> None:
    assert needed_bytes(["a", "b", "unknown"], {"a": 10, "b": 5}) == 60
    assert unfit(replace(FIT, disk_free_bytes=60_000_000), needed_bytes=None) == ()
    assert unfit(replace(FIT, disk_free_bytes=40_000_000), needed_bytes=None)
    (problem,) = unfit(FIT, needed_bytes=400_000_000)
    assert "1000 MB of disk are free where 1400 MB are needed" in problem


def test_a_port_that_something_else_took_is_named() -> None:
    host = replace(FIT, listening=frozenset({22, 80}))
    assert unfit(host, ports={80: "the edge", 8081: "its preview"}) == (
        "a: port 80 (the edge) is taken by something else; `ss -ltnp` there shows by what",
    )


@pytest.mark.parametrize(
    ("now_s", "told"),
    [(0, ""), (1_000_000_010, ""), (1_000_003_600, "3600 s ahead of"), (999_999_000, "1000 s beh")],
)
def test_a_clock_that_is_off_is_told(now_s: float, told: str) -> None:
    warning = skew(replace(FIT, now_s=now_s), "2001-09-09T01:46:40+00:00")
    assert told in warning
    assert bool(warning) == bool(told)


def test_a_host_that_could_not_be_looked_at_says_that_alone() -> None:
    assert unfit(HostState("a", problem="a: no answer")) == ("a: no answer",)


def test_all_problems_are_told_at_once() -> None:
    assert len(unfit(HostState("a"))) == 3
