"""The long form of the proof: `./ship test e2e:soak`. Many rollouts under one load, at half of what replicas serve.

Raw rows, events, a summary and one picture are left in dist/e2e/soak; steps_test.py is the other half of it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2e.loadgen.generator import Plan
from e2e.loadgen.process import (
    half_of,
    saturated,
    streams_of,
)
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts
from e2e.soak import Soak, soaking
from e2e.stack import Stack
from e2e.target import output_folder

DEPLOYS, ROLLBACKS, SCALES = 20, 10, 10
FEWEST, MOST = 2, 8
CONTROL_S = 60.0


@pytest.fixture(scope="module")
def soak(stack: Stack, rollouts: Rollouts, images: tuple[str, str]) -> Iterator[Soak]:
    rollouts.deploy(rollouts.environment(env={"SOAK_TURN": "first"})).must()
    out = output_folder() / "soak" / "raw.tsv"
    plan = Plan(stack.url, str(out), streams_of("app.test", HOST_NAME), pausing=20, slow=10)
    quiet = saturated(plan, seconds=10)
    plan = replace(plan, rate=half_of(quiet))
    with soaking(rollouts, plan, images, quiet_rate=round(quiet, 1)) as soak:
        yield soak


@pytest.fixture(autouse=True)
def _nothing_is_lost(soak: Soak) -> Iterator[None]:
    begun = time.time()
    yield
    record = soak.load.record.between(begun)
    assert not record.lost, str(record)


def test_a_minute_without_a_rollout(soak: Soak) -> None:
    wanted = int(CONTROL_S * soak.load.plan.rate)
    soak.load.await_rows(len(soak.load.record.rows) + wanted, within_s=3 * CONTROL_S)


def test_deploys_one_after_the_other(soak: Soak) -> None:
    before: dict[str, object] = {}
    for turn in range(DEPLOYS):
        service = "app" if turn % 4 == 3 else SERVICE
        done = soak.deploy(service)
        assert done["previous"] == before.get(service, done["previous"])
        before[service] = done["release"]


def test_rollbacks_one_after_the_other(soak: Soak) -> None:
    """There and back: the release before the one that is live is the one that was just left."""
    new = soak.deploy()
    live, before = new["release"], new["previous"]
    for _ in range(ROLLBACKS):
        env = soak.rollouts.environment()
        back = soak.start(("rollback", SERVICE), env).ended().must().document
        assert (back["release"], back["previous"]) == (before, live)
        live, before = before, live


def test_changes_of_scale(soak: Soak) -> None:
    chance, before = random.Random(3), FEWEST  # noqa: S311 - no secret
    for _ in range(SCALES):
        count = chance.choice([n for n in range(FEWEST, MOST + 1) if n != before])
        env = soak.rollouts.environment()
        soak.start(("scale", f"{SERVICE}={count}"), env).ended().must()
        before = count
    soak.start(("scale", f"{SERVICE}={FEWEST}"), soak.rollouts.environment()).ended().must()
