"""The soak, `./ship test e2e:soak`: many rollouts under one load, at half the rate that the replicas can serve.

Raw rows, events, a summary and a chart are left in dist/e2e/soak. steps_test.py is the other half of the soak.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2e.live_sandbox import LiveSandbox
from e2e.loadgen.generator import LoadProfile
from e2e.loadgen.process import (
    app_and_fixture_streams,
    half_rate,
    measure_capacity,
)
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts
from e2e.soak import Soak, running_soak
from e2e.target import output_folder

DEPLOYS, ROLLBACKS, SCALES = 20, 10, 10
MIN_REPLICAS, MAX_REPLICAS = 2, 8
CONTROL_S = 60.0


@pytest.fixture(scope="module")
def soak(sandbox: LiveSandbox, rollouts: Rollouts, images: tuple[str, str]) -> Iterator[Soak]:
    rollouts.deploy(rollouts.environment(env={"SOAK_TURN": "first"})).expect_success()
    out = output_folder() / "soak" / "raw.tsv"
    streams = app_and_fixture_streams("app.test", HOST_NAME)
    profile = LoadProfile(sandbox.url, str(out), streams, pausing=20, slow=10)
    capacity = measure_capacity(profile, seconds=10)
    profile = replace(profile, rate=half_rate(capacity))
    with running_soak(rollouts, profile, images, quiet_rate=round(capacity, 1)) as soak:
        yield soak


@pytest.fixture(autouse=True)
def _nothing_is_lost(soak: Soak) -> Iterator[None]:
    begun = time.time()
    yield
    record = soak.load.record.between(begun)
    assert not record.lost, str(record)


def test_minute_without_a_rollout_loses_nothing(soak: Soak) -> None:
    expected = int(CONTROL_S * soak.load.profile.rate)
    soak.load.await_rows(len(soak.load.record.rows) + expected, within_s=3 * CONTROL_S)


def test_consecutive_deploys_lose_nothing(soak: Soak) -> None:
    live: dict[str, object] = {}
    for turn in range(DEPLOYS):
        service = "app" if turn % 4 == 3 else SERVICE
        document = soak.deploy(service)
        assert document["previous"] == live.get(service, document["previous"])
        live[service] = document["release"]


def test_consecutive_rollbacks_lose_nothing(soak: Soak) -> None:
    """Goes back and forth between two releases: each rollback returns to the one that was live before."""
    deployed = soak.deploy()
    live, before = deployed["release"], deployed["previous"]
    for _ in range(ROLLBACKS):
        env = soak.rollouts.environment()
        document = soak.start(("rollback", SERVICE), env).wait().expect_success().document
        assert (document["release"], document["previous"]) == (before, live)
        live, before = before, live


def test_changes_of_scale_lose_nothing(soak: Soak) -> None:
    chance, before = random.Random(3), MIN_REPLICAS  # noqa: S311 - no secret
    for _ in range(SCALES):
        count = chance.choice([n for n in range(MIN_REPLICAS, MAX_REPLICAS + 1) if n != before])
        env = soak.rollouts.environment()
        soak.start(("scale", f"{SERVICE}={count}"), env).wait().expect_success()
        before = count
    env = soak.rollouts.environment()
    soak.start(("scale", f"{SERVICE}={MIN_REPLICAS}"), env).wait().expect_success()
