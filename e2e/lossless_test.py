"""No request is lost by any rollout, even if its deployer is killed at any step. One load runs through all tests.

This is the short form, which takes minutes: its rate leaves a small machine room for the rollouts, and its clients
pause no longer than a deploy waits for them. soak_test.py has more rollouts, at half the rate that the replicas can
serve, and steps_test.py every combination of steps and faults.
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
    FAULT_STEPS,
    EventLog,
    Fault,
    FaultInjector,
    await_plan,
    step_kinds,
)
from e2e.live_sandbox import LiveSandbox
from e2e.loadgen.generator import LoadProfile
from e2e.loadgen.process import (
    RunningLoad,
    app_and_fixture_streams,
    running_load,
)
from e2e.relay import Relay
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts, port_of
from e2e.ship import Ship, ShipCall
from e2e.target import output_folder

CONTROL_S = 10.0
RATE = 100.0
LONGEST_PAUSE_S = 5.0
SLACK_S = 1.0
_turns = itertools.count(1)


def new_env() -> dict[str, str]:
    """Returns variables that make another release of the same image."""
    return {"PROOF_TURN": f"{next(_turns)}-{time.time():.0f}"}


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    """Measurements of the tests, for the summary."""
    return {}


@pytest.fixture(scope="module")
def load(
    sandbox: LiveSandbox, rollouts: Rollouts, figures: dict[str, float]
) -> Iterator[RunningLoad]:
    """A load of a hundred requests per second, until the last test of this file."""
    rollouts.deploy(rollouts.environment(env=new_env())).expect_success()
    folder = output_folder() / "lossless"
    streams = app_and_fixture_streams("app.test", HOST_NAME)
    profile = LoadProfile(
        *(sandbox.url, str(folder / "raw.tsv"), streams, RATE),
        pausing=20,
        longest_pause_s=LONGEST_PAUSE_S,
        slow=10,
    )
    with running_load(profile) as load:
        load.await_rows(int(profile.rate))
        yield load
    summary = {"rate": RATE, **figures, **load.record.summary()}
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    assert not load.record.lost, str(load.record)


@pytest.fixture(autouse=True)
def _nothing_is_lost(load: RunningLoad) -> Iterator[None]:
    begun = time.time()
    yield
    record = load.record.between(begun)
    assert not record.lost, str(record)
    assert record.rate() > load.profile.rate / 2, "the load generator was too slow"


def test_load_without_a_rollout_loses_nothing(load: RunningLoad) -> None:
    begun = time.time()
    load.await_rows(len(load.record.rows) + int(CONTROL_S * load.profile.rate), within_s=120)
    record = load.record.between(begun)
    assert {row.way for row in record.rows} == {"fresh", "kept", "pausing", "slow"}


def _deploy_as_planned(
    load: RunningLoad, ship: Ship, service: str, image: str, env: Path, events: EventLog
) -> None:
    """Deploys; asserts that it has as many steps as `ship plan` shows and that both releases served requests."""
    words = (service, "--image", image)
    planned = ship("plan", *words, env=env).expect_success().document["steps"]
    begun = time.time()
    call = ship.start("deploy", *words, "--events", str(events.file), env=env)
    announced = await_plan(call, events)
    result = call.wait().expect_success()
    assert result.document["outcome"] == "live"
    assert announced is not None
    assert len(announced.keys) == len(planned)
    served = load.record.between(begun).of(service).releases
    assert served[result.document["release"]]
    assert served[result.document["previous"]]


def test_deploys_of_two_services_lose_nothing(
    load: RunningLoad, sandbox: LiveSandbox, rollouts: Rollouts, tmp_path: Path
) -> None:
    environment = rollouts.environment(service="app")
    (app,) = sandbox.ship("status", "app", env=environment).expect_success().document["services"]
    for service, ship, image in (
        (SERVICE, rollouts.ship, rollouts.image),
        ("app", sandbox.ship, app["image"]),
    ):
        env = rollouts.environment(env=new_env(), service=service)
        events = EventLog(tmp_path / f"{service}.jsonl")
        _deploy_as_planned(load, ship, service, image, env, events)


def test_rollback_serves_every_request_after_its_switch(
    load: RunningLoad, rollouts: Rollouts, figures: dict[str, float], tmp_path: Path
) -> None:
    """Also measures the seconds from the command's start to the last response of the old release."""
    env, events = rollouts.environment(), EventLog(tmp_path / "events.jsonl")
    begun = time.time()
    call = rollouts.start(("rollback", SERVICE), env, events.file)
    back = call.wait().expect_success().document
    assert (back["outcome"], back["release"] == back["previous"]) == ("live", False)
    (switched,) = (
        datetime.fromisoformat(event["at"]).timestamp()
        for event in events.read_new()
        if event["event"] == "StepDone" and event["step"] == "PointTraffic"
    )
    record = load.record.between(begun).of("fixture:get", "fixture:post")
    late = record.between(switched + SLACK_S)
    assert set(late.releases) == {back["release"]}, "keep-alive clients included"
    old = [row.due for row in record.rows if row.release == back["previous"]]
    figures["rollback_s"] = round(max(old) - begun, 2)


def test_changes_of_scale_lose_nothing(load: RunningLoad, rollouts: Rollouts) -> None:
    env = rollouts.environment()
    for count in (4, 2):
        scaled = rollouts.start(("scale", f"{SERVICE}={count}"), env).wait().expect_success()
        done = scaled.document
        assert (done["outcome"], done["release"]) == ("live", done["previous"] or done["release"])
        begun = time.time() + SLACK_S
        load.await_rows(len(load.record.rows) + int(3 * load.profile.rate))
        replicas = {row.replica for row in load.record.between(begun).of("fixture").rows}
        assert len(replicas) == count


MAX_ROUNDS = 3


def _start_with_pull(
    rollouts: Rollouts, image: str, words: tuple[str, ...], env: Path, events: Path
) -> ShipCall:
    """Starts a rollout whose host has to pull the image, unless a replica runs it."""
    rollouts.forget(image)
    return rollouts.start(words, env, events)


def test_faults_at_every_step_of_a_deployer_lose_nothing(
    load: RunningLoad,
    sandbox: LiveSandbox,
    rollouts: Rollouts,
    images: tuple[str, str],
    tmp_path: Path,
) -> None:
    """Runs rollbacks and deploys in turn, with faults at steps that had none.

    Each rollout brings another edge and another image than the live release, and deploys have a secret, so that the
    plans contain all steps for them. steps_test.py tries both faults at each step of both verbs.
    """
    old, new = images
    sshd = ("127.0.0.1", port_of(sandbox.environment_file.read_text(), "host-1"))
    with Relay(sshd) as relay:
        env = rollouts.environment(env=new_env(), relayed={"host-1": relay.port}, secret=True)
        rollouts.change_edge()
        events = EventLog(tmp_path / "third.jsonl")
        _deploy_as_planned(load, rollouts.ship, SERVICE, new, env, events)
        injector = FaultInjector(tmp_path / "broken", relay, (Fault.KILL, Fault.CUT))
        for turn in range(MAX_ROUNDS):
            rollback = partial(_start_with_pull, rollouts, old, ("rollback", SERVICE), env)
            injector.run_until_done(rollback, every=1 if turn else 2).expect_success()
            rollouts.change_edge()
            env = rollouts.environment(env=new_env(), relayed={"host-1": relay.port}, secret=True)
            words = ("deploy", SERVICE, "--image", new)
            deploy = partial(_start_with_pull, rollouts, new, words, env)
            injector.run_until_done(deploy).expect_success()
            if not injector.missing:
                break
    assert injector.missing == []
    assert step_kinds(injector.injected) >= FAULT_STEPS
    for kind in ("StartStack", "StopStack"):
        assert any(step.startswith(f"{kind}: ") and "edge" in step for step in injector.injected), (
            injector.injected
        )
    for injected in injector.injected.values():
        result = injected.result
        assert result is None or (result.code in (1, 4) and result.hint), injected
    (service,) = rollouts.ship("status", SERVICE).expect_success().document["services"]
    assert service["drift"] == []
