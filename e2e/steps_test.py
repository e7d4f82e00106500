"""The other half of the soak: a fault at each step, of each kind, each followed by a deploy, under one load.

The load is the short form's, since its rate leaves the machine room for some hundred rollouts. Raw rows, events, a
summary and a chart are left in dist/e2e/steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from e2e.deployer_faults import (
    SOAK_FAULT_STEPS,
    EventLog,
    Fault,
    await_plan,
    inject_fault,
    step_kinds,
)
from e2e.live_sandbox import LiveSandbox
from e2e.loadgen.generator import LoadProfile
from e2e.loadgen.process import app_and_fixture_streams
from e2e.relay import Relay
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts, port_of
from e2e.soak import Soak, running_soak
from e2e.target import output_folder

RATE = 100.0
LONGEST_PAUSE_S = 5.0
CANARY = "20%"
ROLLBACK_FAULT_STEPS = {"PullImages", "StartStack", "StartReplicas", "PointTraffic", "StopStack"}


@pytest.fixture(scope="module")
def soak(sandbox: LiveSandbox, rollouts: Rollouts, images: tuple[str, str]) -> Iterator[Soak]:
    rollouts.deploy(rollouts.environment(env={"SOAK_TURN": "steps"})).expect_success()
    out = output_folder() / "steps" / "raw.tsv"
    profile = LoadProfile(
        sandbox.url,
        str(out),
        app_and_fixture_streams("app.test", HOST_NAME),
        RATE,
        pausing=20,
        longest_pause_s=LONGEST_PAUSE_S,
        slow=10,
    )
    with running_soak(rollouts, profile, images) as soak:
        yield soak


@pytest.fixture(autouse=True)
def _nothing_is_lost(soak: Soak) -> Iterator[None]:
    begun = time.time()
    yield
    record = soak.load.record.between(begun)
    assert not record.lost, str(record)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
@pytest.mark.parametrize("verb", ["deploy", "rollback"])
def test_fault_at_each_step_followed_by_a_deploy_loses_nothing(
    soak: Soak, sandbox: LiveSandbox, verb: str, fault: Fault
) -> None:
    """Each rollout pulls an image and replaces the edge; each deploy also has a secret and a canary."""
    rollouts = soak.rollouts
    with Relay(("127.0.0.1", port_of(sandbox.environment_file.read_text(), "host-1"))) as relay:
        rollouts.change_edge()
        # The first rollback needs a release to go back from; later ones go back from the deploy that ends the loop.
        soak.deploy()
        steps: tuple[str, ...] = ()
        injected: set[str] = set()
        while not steps or not injected.issuperset(steps):
            rollouts.change_edge()
            relayed = {"host-1": relay.port}
            env = rollouts.environment(env=soak.new_env(), relayed=relayed, secret=True)
            image = soak.next_image()
            rollouts.forget(image)
            words: tuple[str, ...] = ("rollback", SERVICE, "--wait")
            if verb == "deploy":
                words = ("deploy", SERVICE, "--image", image, "--canary", CANARY, "--wait")
            events = EventLog(soak.next_events_file())
            call = rollouts.start(words, env, events.file)
            plan = await_plan(call, events)
            assert plan is not None, call.stderr()
            steps = steps or plan.keys
            step = next((key for key in plan.keys if key in steps and key not in injected), None)
            assert step is not None, (
                f"no plan has these steps any more: {sorted(set(steps) - injected)}: {plan}"
            )
            hit = inject_fault(call, events, plan, step, fault, relay)
            assert hit is not None, call.stderr()
            injected.add(step)
            soak.deploy()
    expected = SOAK_FAULT_STEPS if verb == "deploy" else ROLLBACK_FAULT_STEPS
    assert step_kinds(injected) >= expected
