"""No request is lost, whatever a rollout does and wherever its deployer ends; one load runs through all of it.

This is the short form, within minutes: at a rate that leaves a small machine room for the rollouts, and with clients
that pause no longer than a deploy can wait for. soak_test.py has every combination, at half of what the replicas serve.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from e2e.deployer_faults import (
    BEFORE,
    CUT,
    KILL,
    Breaker,
    Events,
    kinds_of,
    plan_of,
)
from e2e.loadgen.generator import Plan
from e2e.loadgen.process import (
    Running,
    running,
    streams_of,
)
from e2e.relay import Relay
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts, port_of
from e2e.ship import Call, Ship
from e2e.stack import Stack
from e2e.target import output_folder

CONTROL_S = 10.0
RATE = 100.0
LONGEST_PAUSE_S = 5.0
SLACK_S = 1.0
_turns = itertools.count(1)


def told() -> dict[str, str]:
    """An environment that makes another release of the same image."""
    return {"PROOF_TURN": f"{next(_turns)}-{time.time():.0f}"}


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    """What tests measure, for the summary."""
    return {}


@pytest.fixture(scope="module")
def load(stack: Stack, rollouts: Rollouts, figures: dict[str, float]) -> Iterator[Running]:
    """A hundred requests a second, until the last test of this file."""
    rollouts.deploy(rollouts.environment(env=told())).must()
    folder = output_folder() / "lossless"
    streams = streams_of("app.test", HOST_NAME)
    plan = Plan(
        *(stack.url, str(folder / "raw.tsv"), streams, RATE),
        pausing=20,
        longest_pause_s=LONGEST_PAUSE_S,
        slow=10,
    )
    with running(plan) as load:
        load.await_rows(int(plan.rate))
        yield load
    summary = {"rate": RATE, **figures, **load.record.summary()}
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    assert not load.record.lost, str(load.record)


@pytest.fixture(autouse=True)
def _nothing_is_lost(load: Running) -> Iterator[None]:
    begun = time.time()
    yield
    record = load.record.between(begun)
    assert not record.lost, str(record)
    assert record.rate() > load.plan.rate / 2, "the load itself could not keep up"


def test_without_a_rollout_nothing_is_lost(load: Running) -> None:
    begun = time.time()
    load.await_rows(len(load.record.rows) + int(CONTROL_S * load.plan.rate), within_s=120)
    record = load.record.between(begun)
    assert {row.way for row in record.rows} == {"fresh", "kept", "pausing", "slow"}


def _goes_live_as_planned(
    load: Running, ship: Ship, service: str, image: str, env: Path, events: Events
) -> None:
    """Deploys, and sees the steps that `ship plan` told, and both releases answer."""
    words = (service, "--image", image)
    shown = ship("plan", *words, env=env).must().document["steps"]
    begun = time.time()
    call = ship.start("deploy", *words, "--events", str(events.file), env=env)
    made = plan_of(call, events)
    ended = call.ended().must()
    assert ended.document["outcome"] == "live"
    assert made is not None
    assert len(made.keys) == len(shown)
    answered = load.record.between(begun).of(service).releases
    assert answered[ended.document["release"]]
    assert answered[ended.document["previous"]]


def test_deploys_of_two_services(
    load: Running, stack: Stack, rollouts: Rollouts, tmp_path: Path
) -> None:
    host = rollouts.environment(service="app")
    (app,) = stack.ship("status", "app", env=host).must().document["services"]
    for service, ship, image in (
        (SERVICE, rollouts.ship, rollouts.image),
        ("app", stack.ship, app["image"]),
    ):
        env = rollouts.environment(env=told(), service=service)
        events = Events(tmp_path / f"{service}.jsonl")
        _goes_live_as_planned(load, ship, service, image, env, events)


def test_a_rollback_meets_every_new_request_once_it_switched(
    load: Running, rollouts: Rollouts, figures: dict[str, float], tmp_path: Path
) -> None:
    """How long after the command's start the last request met the old release is a figure, not a condition."""
    env, events = rollouts.environment(), Events(tmp_path / "events.jsonl")
    begun = time.time()
    call = rollouts.start(("rollback", SERVICE), env, events.file)
    back = call.ended().must().document
    assert (back["outcome"], back["release"] == back["previous"]) == ("live", False)
    (switched,) = (
        datetime.fromisoformat(event["at"]).timestamp()
        for event in events.more()
        if event["event"] == "StepDone" and event["step"] == "PointTraffic"
    )
    met = load.record.between(begun).of("fixture:get", "fixture:post")
    late = met.between(switched + SLACK_S)
    assert set(late.releases) == {back["release"]}, "keep-alive clients included"
    old = [row.due for row in met.rows if row.release == back["previous"]]
    figures["rollback_s"] = round(max(old) - begun, 2)


def test_more_replicas_and_fewer(load: Running, rollouts: Rollouts) -> None:
    env = rollouts.environment()
    for count in (4, 2):
        done = rollouts.start(("scale", f"{SERVICE}={count}"), env).ended().must().document
        assert (done["outcome"], done["release"]) == ("live", done["previous"] or done["release"])
        begun = time.time() + SLACK_S
        load.await_rows(len(load.record.rows) + int(3 * load.plan.rate))
        seen = {row.replica for row in load.record.between(begun).of("fixture").rows}
        assert len(seen) == count


MOST_ROUNDS = 3


def _pulling(
    rollouts: Rollouts, image: str, words: tuple[str, ...], env: Path, events: Path
) -> Call:
    """Starts a rollout to a release of an image that its host has to pull, if no replica runs it yet."""
    rollouts.forget(image)
    return rollouts.start(words, env, events)


def test_a_deployer_that_ends_before_any_step_costs_nothing(
    load: Running, stack: Stack, rollouts: Rollouts, images: tuple[str, str], tmp_path: Path
) -> None:
    """A third deploy, then rollbacks and deploys in turn, each ended before steps that none was ended before.

    Each comes with another edge and another image than those that serve, and with a secret, so all of them are among
    the steps. steps_test.py ends both before each, in both ways.
    """
    old, new = images
    sshd = ("127.0.0.1", port_of(stack.environment_file.read_text(), "host-1"))
    with Relay(sshd) as relay:
        env = rollouts.environment(env=told(), relayed={"host-1": relay.port}, secret=True)
        rollouts.change_edge()
        events = Events(tmp_path / "third.jsonl")
        _goes_live_as_planned(load, rollouts.ship, SERVICE, new, env, events)
        breaker = Breaker(tmp_path / "broken", relay, (KILL, CUT))
        for turn in range(MOST_ROUNDS):
            back = partial(_pulling, rollouts, old, ("rollback", SERVICE), env)
            breaker.roll(back, every=1 if turn else 2).must()
            rollouts.change_edge()
            env = rollouts.environment(env=told(), relayed={"host-1": relay.port}, secret=True)
            # What an ended rollback left is what this deploy starts from.
            words = ("deploy", SERVICE, "--image", new)
            breaker.roll(partial(_pulling, rollouts, new, words, env)).must()
            if not breaker.spared:
                break
    assert breaker.spared == []
    assert kinds_of(breaker.broken) >= BEFORE
    for kind in ("StartPart edge", "RetirePart edge"):
        assert any(kind in step for step in breaker.broken), breaker.broken
    for each in breaker.broken.values():
        assert each.ended is None or (each.ended.code in (1, 4) and each.ended.hint), each
    (service,) = rollouts.ship("status", SERVICE).must().document["services"]
    assert service["drift"] == []
