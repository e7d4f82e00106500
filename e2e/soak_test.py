"""The long form of the proof: `./ship test e2e:soak`. Every rollout, every step, every way, under one load.

Raw rows, events and one picture are left in dist/e2e/soak.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2e.interruptions import CUT, KILL, Events, break_at, plan_of
from e2e.loading import Running, half_of, running, saturated, streams_of
from e2e.picture import draw, marks_of
from e2e.relay import Relay
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts, port_of
from e2e.ship import Call
from e2e.stack import Stack
from e2e.target import output_folder
from e2e.traffic import Plan

DEPLOYS, ROLLBACKS, SCALES = 20, 10, 10
FEWEST, MOST = 2, 8
CONTROL_S = 60.0
_turns = itertools.count(1)


@dataclass
class Soak:
    """One load through all of it, and where everything is kept."""

    stack: Stack
    rollouts: Rollouts
    load: Running
    folder: Path

    def told(self) -> dict[str, str]:
        """An environment that makes another release of the same image."""
        return {"SOAK_TURN": f"{next(_turns)}-{time.time():.0f}"}

    def events(self) -> Path:
        """A file for the next rollout's events, in the order of the rollouts."""
        return self.folder / f"events-{next(_turns):05d}.jsonl"

    def start(self, words: tuple[str, ...], env: Path) -> Call:
        return self.rollouts.start(words, env, self.events())

    def deploy(self) -> dict[str, object]:
        """Deploys another release of the fixture, which has to go live."""
        words = ("deploy", SERVICE, "--image", self.rollouts.image, "--wait")
        env = self.rollouts.environment(env=self.told())
        return dict(self.start(words, env).ended().must().document)


@pytest.fixture(scope="module")
def soak(stack: Stack, rollouts: Rollouts) -> Iterator[Soak]:
    folder = output_folder() / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("events-*.jsonl"):
        old.unlink()
    rollouts.deploy(rollouts.environment(env={"SOAK_TURN": "first"})).must()
    streams = streams_of("app.test", HOST_NAME)
    plan = Plan(stack.url, str(folder / "raw.tsv"), streams, pausing=20, slow=10)
    quiet = saturated(plan, seconds=10)
    plan = replace(plan, rate=half_of(quiet))
    with running(plan) as load:
        load.await_rows(int(plan.rate))
        yield Soak(stack, rollouts, load, folder)
    record = load.record
    marks = marks_of(sorted(folder.glob("events-*.jsonl")))
    title = f"{len(marks)} rollouts at {plan.rate:.0f} requests a second: {record}"
    (folder / "soak.svg").write_text(draw(record, marks, title))
    summary = {
        "rollouts": len(marks),
        "broken": sum(bool(mark.broken) for mark in marks),
        "rate": round(plan.rate, 1),
        "quiet_rate": round(quiet, 1),
        **record.summary(),
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    assert not record.lost, str(record)


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
    before = None
    for _ in range(DEPLOYS):
        done = soak.deploy()
        assert before is None or done["previous"] == before
        before = done["release"]


def test_rollbacks_one_after_the_other(soak: Soak) -> None:
    for _ in range(ROLLBACKS):
        new = soak.deploy()
        env = soak.rollouts.environment()
        back = soak.start(("rollback", SERVICE), env).ended().must().document
        assert back["release"] == new["previous"]


def test_changes_of_scale(soak: Soak) -> None:
    chance, before = random.Random(3), FEWEST  # noqa: S311 - no secret
    for _ in range(SCALES):
        count = chance.choice([n for n in range(FEWEST, MOST + 1) if n != before])
        env = soak.rollouts.environment()
        soak.start(("scale", f"{SERVICE}={count}"), env).ended().must()
        before = count
    soak.start(("scale", f"{SERVICE}={FEWEST}"), soak.rollouts.environment()).ended().must()


@pytest.mark.parametrize("way", [KILL, CUT])
@pytest.mark.parametrize("verb", ["deploy", "rollback"])
def test_every_step_alone_each_followed_by_a_deploy(soak: Soak, verb: str, way: str) -> None:
    sshd = ("127.0.0.1", port_of(soak.stack.environment_file.read_text(), "host-1"))
    with Relay(sshd) as relay:
        left: list[str] | None = None
        soak.deploy()  # what a rollback goes back from; each deploy after a broken one is so for the next
        while left is None or left:
            env = soak.rollouts.environment(env=soak.told(), relayed={"host-1": relay.port})
            words = ("rollback", SERVICE)
            if verb == "deploy":
                words = ("deploy", SERVICE, "--image", soak.rollouts.image, "--wait")  # type: ignore[assignment]
            events = Events(soak.events())
            call = soak.rollouts.start(words, env, events.file)
            plan = plan_of(call, events)
            assert plan is not None, call.said()
            left = list(plan.keys) if left is None else left
            step = left.pop(0)
            if step not in plan.keys:  # a plan of later has another number of old releases to prune
                call.ended().must()
                continue
            assert break_at(call, events, plan, step, way, relay) is not None, call.said()
            assert soak.deploy()["outcome"] == "live"
