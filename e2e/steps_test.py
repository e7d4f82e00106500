"""The other half of `./ship test e2e:soak`: each step alone, in each way, each followed by a deploy, under one load.

The load is the short form's, which leaves room for some hundred rollouts; all is left in dist/e2e/steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2e.deployer_faults import (
    BEFORE_IN_SOAK,
    CUT,
    KILL,
    Events,
    break_at,
    kinds_of,
    plan_of,
)
from e2e.loadgen.generator import Plan
from e2e.loadgen.process import streams_of
from e2e.relay import Relay
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts, port_of
from e2e.soak import Soak, soaking
from e2e.stack import Stack
from e2e.target import output_folder

RATE = 100.0
LONGEST_PAUSE_S = 5.0
CANARY = "20%"
BEFORE_IN_ROLLBACK = {"PullImages", "StartPart", "StartReplicas", "PointTraffic", "RetirePart"}


@pytest.fixture(scope="module")
def soak(stack: Stack, rollouts: Rollouts, images: tuple[str, str]) -> Iterator[Soak]:
    rollouts.deploy(rollouts.environment(env={"SOAK_TURN": "steps"})).must()
    out, streams = output_folder() / "steps" / "raw.tsv", streams_of("app.test", HOST_NAME)
    plan = Plan(
        *(stack.url, str(out), streams, RATE),
        pausing=20,
        longest_pause_s=LONGEST_PAUSE_S,
        slow=10,
    )
    with soaking(rollouts, plan, images) as soak:
        yield soak


@pytest.fixture(autouse=True)
def _nothing_is_lost(soak: Soak) -> Iterator[None]:
    begun = time.time()
    yield
    record = soak.load.record.between(begun)
    assert not record.lost, str(record)


@pytest.mark.parametrize("way", [KILL, CUT])
@pytest.mark.parametrize("verb", ["deploy", "rollback"])
def test_every_step_alone_each_followed_by_a_deploy(
    soak: Soak, stack: Stack, verb: str, way: str
) -> None:
    """Each rollout has an image to pull and an edge to exchange, each deploy a secret and a canary as well."""
    rollouts = soak.rollouts
    with Relay(("127.0.0.1", port_of(stack.environment_file.read_text(), "host-1"))) as relay:
        rollouts.change_edge()
        soak.deploy()  # what a rollback goes back from; each deploy after a broken one is so for the next
        steps: tuple[str, ...] = ()
        broken: set[str] = set()
        while not steps or not broken.issuperset(steps):
            rollouts.change_edge()
            env = rollouts.environment(env=soak.told(), relayed={"host-1": relay.port}, secret=True)
            image = soak.next_image()
            rollouts.forget(image)
            words: tuple[str, ...] = ("rollback", SERVICE, "--wait")
            if verb == "deploy":
                words = ("deploy", SERVICE, "--image", image, "--canary", CANARY, "--wait")
            events = Events(soak.events())
            call = rollouts.start(words, env, events.file)
            plan = plan_of(call, events)
            assert plan is not None, call.said()
            steps = steps or plan.keys
            step = next((key for key in plan.keys if key in steps and key not in broken), None)
            assert step is not None, (
                f"{sorted(set(steps) - broken)} are in no plan any more: {plan}"
            )
            assert break_at(call, events, plan, step, way, relay) is not None, call.said()
            broken.add(step)
            soak.deploy()
    wanted = BEFORE_IN_SOAK if verb == "deploy" else BEFORE_IN_ROLLBACK
    assert kinds_of(broken) >= wanted
