"""Which hosts are fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.core.observed import Observed
from deploy.core.preflight import unfit

FIT = Observed(
    "a", engine_version="26.1.5+dfsg1", compose_version="v2.26.1-4", disk_free_bytes=10**9
)


@pytest.mark.parametrize(
    "host", [FIT, replace(FIT, engine_version="28.0.0-rc.1"), replace(FIT, compose_version="5.0.1")]
)
def test_a_fit_host(host: Observed) -> None:
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
def test_an_unfit_host(host: Observed, problem: str) -> None:
    assert unfit(host) == (problem,)


def test_all_problems_are_told_at_once() -> None:
    assert len(unfit(Observed("a"))) == 3
