"""Concurrent deploys, and holders of the lock that are killed, vanish or are slow."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.deployer_faults import EventLog, await_plan
from e2e.relay import Relay
from e2e.rollouts import SERVICE, Rollouts, port_of
from e2e.ship import ShipCall

PIPELINE = "https://gitlab.example.com/a/b/-/pipelines/42"
REFUSED_WITHIN_S = 2.0
FREED_WITHIN_S = 60.0
EXIT_LOCKED = 3


@dataclass(frozen=True)
class Holder:
    """A deploy that holds the lock."""

    call: ShipCall
    events: EventLog

    @classmethod
    @contextmanager
    def of(cls, rollouts: Rollouts, env: Path, file: Path) -> Iterator[Holder]:
        """Starts a deploy and waits until it has the lock. Kills it at the end of the context if it still runs."""
        holder = rollouts.of_pipeline(PIPELINE)
        events = EventLog(file)
        call = holder.start(("deploy", SERVICE, "--image", rollouts.image), env, events.file)
        try:
            assert await_plan(call, events) is not None, call.stderr()
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
            lambda event: (event["event"], event.get("step")) == ("StepBegun", step),
            within_s=60,
        )
        assert begun is not None, self.call.stderr()


def test_second_deploy_is_refused_and_a_killed_holder_frees_the_lock(
    rollouts: Rollouts, tmp_path: Path
) -> None:
    first, second = (rollouts.environment(env={"AT_ONCE": str(n)}) for n in (1, 2))
    with Holder.of(rollouts, first, tmp_path / "events") as holder:
        begun = time.monotonic()
        refused = rollouts.deploy(second)
        seconds = time.monotonic() - begun
        assert (refused.code, refused.kind) == (EXIT_LOCKED, "LockedError"), refused.stderr
        assert PIPELINE in refused.error
        assert "since 20" in refused.error
        assert refused.hint
        assert seconds < REFUSED_WITHIN_S, f"refused after {seconds:.1f} s"
        holder.await_step("AwaitHealthy")
        holder.kill()
        assert rollouts.deploy(second).expect_success().document["outcome"] == "live"


def test_deploy_with_wait_runs_after_the_holder(rollouts: Rollouts, tmp_path: Path) -> None:
    first, second = (rollouts.environment(env={"WAITS": str(n)}) for n in (1, 2))
    with Holder.of(rollouts, first, tmp_path / "events") as holder:
        waited = rollouts.deploy(second, "--wait").expect_success().document
        assert waited["previous"] == holder.call.wait().expect_success().document["release"]


def test_holder_whose_machine_vanishes_frees_the_lock(rollouts: Rollouts, tmp_path: Path) -> None:
    sshd = ("127.0.0.1", port_of(rollouts.sandbox.environment_file.read_text(), "host-1"))
    second = rollouts.environment(env={"VANISHES": "2"})
    with Relay(sshd) as relay:
        first = rollouts.environment(env={"VANISHES": "1"}, relayed={"host-1": relay.port})
        with Holder.of(rollouts, first, tmp_path / "events") as holder:
            holder.await_step("AwaitHealthy")
            relay.freeze()
            vanished = time.monotonic()
            holder.kill()  # the frozen relay passes nothing of its end on
            while (result := rollouts.deploy(second)).code == EXIT_LOCKED:
                assert time.monotonic() - vanished < FREED_WITHIN_S, result.stderr
                time.sleep(1)
    assert result.expect_success().document["outcome"] == "live"


def test_hold_outlives_its_job_and_another_job_promotes_it(rollouts: Rollouts) -> None:
    before = (
        rollouts.deploy(rollouts.environment(env={"HELD": "0"}))
        .expect_success()
        .document["release"]
    )
    env = rollouts.environment(env={"HELD": "1"})
    held = rollouts.of_pipeline(PIPELINE).deploy(env, "--hold").expect_success().document
    assert (held["outcome"], held["previous"]) == ("held", before)
    assert rollouts.live(env) == before
    refused = rollouts.deploy(rollouts.environment(env={"HELD": "2"}))
    assert (refused.code, refused.kind) == (EXIT_LOCKED, "LockedError"), refused.stderr
    assert PIPELINE in refused.error
    wrong = rollouts.start(("promote", SERVICE, "--release", before), env).wait()
    assert wrong.code == EXIT_LOCKED, wrong.stderr
    promoted = rollouts.start(("promote", SERVICE, "--release", held["release"]), env)
    assert promoted.wait().expect_success().document["outcome"] == "live"
    assert rollouts.live(env) == held["release"]


def test_abort_removes_the_held_candidate(rollouts: Rollouts) -> None:
    before = rollouts.live(rollouts.environment())
    env = rollouts.environment(env={"ABORTED": "1"})
    held = rollouts.deploy(env, "--hold").expect_success().document["release"]
    rollouts.start(("abort", SERVICE, "--release", held), env).wait().expect_success()
    assert rollouts.live(env) == before
    label = f"label=py-cicd.service={SERVICE}"
    releases = rollouts.sandbox.host().run(
        *("docker", "ps", "--all", "--filter", label),
        *("--format", '{{.Label "py-cicd.release"}}'),
    )
    assert set(releases.split()) == {before}
