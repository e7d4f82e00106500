"""Two deploys at once, and holders of the lock that die, vanish or are only slow."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.deployer_faults import Events, plan_of
from e2e.relay import Relay
from e2e.rollouts import SERVICE, Rollouts, port_of
from e2e.ship import Call

PIPELINE = "https://gitlab.example.com/a/b/-/pipelines/42"
REFUSED_S = 2.0
FREED_S = 60.0
LOCKED = 3


@dataclass(frozen=True)
class Holder:
    """A deploy that has the lock."""

    call: Call
    events: Events

    @classmethod
    @contextmanager
    def of(cls, rollouts: Rollouts, env: Path, file: Path) -> Iterator[Holder]:
        """Starts one; it ends with the context, whatever became of the test."""
        holder = rollouts.of_pipeline(PIPELINE)
        events = Events(file)
        call = holder.start(("deploy", SERVICE, "--image", rollouts.image), env, events.file)
        try:
            assert plan_of(call, events) is not None, call.said()
            yield cls(call, events)
        finally:
            if call.process.poll() is None:
                os.killpg(call.process.pid, signal.SIGKILL)
            call.process.wait(10)

    def kill(self) -> None:
        os.killpg(self.call.process.pid, signal.SIGKILL)
        self.call.process.wait(10)

    def await_step(self, step: str) -> None:
        begun = self.events.await_event(
            self.call,
            lambda each: (each["event"], each.get("step")) == ("StepBegun", step),
            within_s=60,
        )
        assert begun is not None, self.call.said()


def test_the_second_of_two_is_refused_and_a_killed_holder_is_in_nobodys_way(
    rollouts: Rollouts, tmp_path: Path
) -> None:
    first, second = (rollouts.environment(env={"AT_ONCE": str(n)}) for n in (1, 2))
    with Holder.of(rollouts, first, tmp_path / "events") as holder:
        asked = time.monotonic()
        refused = rollouts.deploy(second)
        took = time.monotonic() - asked
        assert (refused.code, refused.kind) == (LOCKED, "LockedError"), refused.said
        assert PIPELINE in refused.error
        assert "since 20" in refused.error
        assert refused.hint
        assert took < REFUSED_S, f"refused after {took:.1f} s"
        holder.await_step("AwaitHealthy")
        holder.kill()
        assert rollouts.deploy(second).must().document["outcome"] == "live"


def test_whoever_waits_comes_after_the_holder(rollouts: Rollouts, tmp_path: Path) -> None:
    first, second = (rollouts.environment(env={"WAITS": str(n)}) for n in (1, 2))
    with Holder.of(rollouts, first, tmp_path / "events") as holder:
        waited = rollouts.deploy(second, "--wait").must().document
        assert waited["previous"] == holder.call.ended().must().document["release"]


def test_a_holder_whose_machine_vanishes_frees_the_lock(rollouts: Rollouts, tmp_path: Path) -> None:
    sshd = ("127.0.0.1", port_of(rollouts.stack.environment_file.read_text(), "host-1"))
    second = rollouts.environment(env={"VANISHES": "2"})
    with Relay(sshd) as relay:
        first = rollouts.environment(env={"VANISHES": "1"}, relayed={"host-1": relay.port})
        with Holder.of(rollouts, first, tmp_path / "events") as holder:
            holder.await_step("AwaitHealthy")
            relay.freeze()
            vanished = time.monotonic()
            holder.kill()  # it can say nothing any more
            while (ended := rollouts.deploy(second)).code == LOCKED:
                assert time.monotonic() - vanished < FREED_S, ended.said
                time.sleep(1)
    assert ended.must().document["outcome"] == "live"


def test_a_hold_outlives_its_job_and_another_job_promotes_it(rollouts: Rollouts) -> None:
    before = rollouts.deploy(rollouts.environment(env={"HELD": "0"})).must().document["release"]
    env = rollouts.environment(env={"HELD": "1"})
    held = rollouts.of_pipeline(PIPELINE).deploy(env, "--hold").must().document
    assert (held["outcome"], held["previous"]) == ("held", before)
    assert rollouts.live(env) == before
    refused = rollouts.deploy(rollouts.environment(env={"HELD": "2"}))
    assert (refused.code, refused.kind) == (LOCKED, "LockedError"), refused.said
    assert PIPELINE in refused.error
    wrong = rollouts.start(("promote", SERVICE, "--release", before), env).ended()
    assert wrong.code == LOCKED, wrong.said
    promoted = rollouts.start(("promote", SERVICE, "--release", held["release"]), env)
    assert promoted.ended().must().document["outcome"] == "live"
    assert rollouts.live(env) == held["release"]


def test_an_aborted_hold_leaves_the_live_release_and_nothing_else(rollouts: Rollouts) -> None:
    before = rollouts.live(rollouts.environment())
    env = rollouts.environment(env={"ABORTED": "1"})
    held = rollouts.deploy(env, "--hold").must().document["release"]
    rollouts.start(("abort", SERVICE, "--release", held), env).ended().must()
    assert rollouts.live(env) == before
    label = f"label=py-cicd.service={SERVICE}"
    named = rollouts.stack.host().run(
        *("docker", "ps", "--all", "--filter", label),
        *("--format", '{{.Label "py-cicd.release"}}'),
    )
    assert set(named.split()) == {before}
