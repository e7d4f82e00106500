"""A deploy to two hosts is one transaction: a failure on the second host rolls the first back, or needs a person."""

from __future__ import annotations

import itertools
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.deployer_faults import EventLog
from e2e.live_sandbox import LiveSandbox
from e2e.loadgen.generator import LoadProfile
from e2e.loadgen.process import (
    RunningLoad,
    app_and_fixture_streams,
    running_load,
)
from e2e.relay import Relay
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts, port_of
from e2e.ship import ShipResult
from e2e.target import output_folder

BOTH = ("host-1", "host-2")
_turns = itertools.count(1)


def new_env() -> dict[str, str]:
    """Returns variables that make another release of the same image."""
    return {"TRANSACTION": f"{next(_turns)}-{time.time():.0f}"}


@pytest.fixture(scope="module")
def good(sandbox: LiveSandbox, rollouts: Rollouts) -> str:
    """The release that both hosts serve before each test."""
    sandbox.ship("up", "--yes", "--hosts", "2", "--no-e2e").expect_success()
    env = rollouts.environment(env=new_env(), hosts=BOTH)
    return str(rollouts.deploy(env).expect_success().document["release"])


@pytest.fixture(autouse=True)
def load(sandbox: LiveSandbox, good: str, request: pytest.FixtureRequest) -> Iterator[RunningLoad]:
    """Requests to the first host, none of which may be lost."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    out = output_folder() / "transaction" / f"{name}.tsv"
    streams = app_and_fixture_streams("app.test", HOST_NAME)
    with running_load(LoadProfile(sandbox.url, str(out), streams, rate=50)) as load:
        load.await_rows(20)
        yield load
    assert not load.record.lost, str(load.record)


def _live(rollouts: Rollouts) -> dict[str, str]:
    env = rollouts.environment(hosts=BOTH)
    (service,) = rollouts.ship("status", SERVICE, env=env).expect_success().document["services"]
    return {host["name"]: host["release"] for host in service["hosts"]}


def _deploy(
    rollouts: Rollouts, env: Path, events: EventLog, step: str, act: Callable[[], object]
) -> ShipResult:
    """Deploys, and calls `act` when this step begins on the second host."""
    call = rollouts.start(("deploy", SERVICE, "--image", rollouts.image), env, events.file)
    begun = events.await_event(
        call,
        lambda event: (
            (event["event"], event.get("step"), event.get("host")) == ("StepBegun", step, "host-2")
        ),
        within_s=180,
    )
    assert begun is not None, call.stderr()
    act()
    return call.wait()


def _candidate(rollouts: Rollouts, good: str) -> str:
    """Returns the name of one of the candidate's replicas on the second host."""
    listed = rollouts.sandbox.host(2).run(
        *("docker", "ps", "--all", "--filter", f"label=py-cicd.service={SERVICE}"),
        *("--format", '{{.Names}} {{.Label "py-cicd.release"}}'),
    )
    return next(line.split()[0] for line in listed.splitlines() if line.split()[1] != good)


def test_failed_replicas_on_the_second_host_roll_back_both(
    rollouts: Rollouts, good: str, tmp_path: Path
) -> None:
    host, events = rollouts.sandbox.host(2), EventLog(tmp_path / "events")
    env = rollouts.environment(env=new_env(), hosts=BOTH)
    result = _deploy(
        *(rollouts, env, events, "AwaitHealthy"),
        lambda: host.run("docker", "kill", _candidate(rollouts, good)),
    )
    assert (result.code, result.kind) == (1, "RevertedError"), result.stderr
    assert "host-2" in result.error
    assert _live(rollouts) == {"host-1": good, "host-2": good}


def test_second_host_that_users_cannot_reach_needs_a_person(
    rollouts: Rollouts, good: str, tmp_path: Path
) -> None:
    events = EventLog(tmp_path / "events")
    env = rollouts.environment(env=new_env(), hosts=BOTH)
    text = env.read_text()
    url = rollouts.sandbox.environment()["hosts"][1]["url"]
    env.write_text(text.replace(url, "http://127.0.0.1:9"))  # nothing listens there
    result = rollouts.deploy(env, events=events.file)
    # Both hosts are rolled back, but the tool can't verify that from outside, so a person has to.
    assert (result.code, result.kind) == (4, "StuckError"), result.stderr
    assert "host-2 at http://127.0.0.1:9" in result.error
    switches = [event for event in events.read_new() if event.get("step") == "PointTraffic"]
    assert {event["host"] for event in switches} == set(BOTH), "both had switched"
    assert _live(rollouts) == {"host-1": good, "host-2": good}


def test_second_host_that_is_gone_before_its_rollback_is_repaired_by_the_hint(
    rollouts: Rollouts, good: str, tmp_path: Path
) -> None:
    sshd = ("127.0.0.1", port_of(rollouts.sandbox.environment_file.read_text(), "host-2"))
    with Relay(sshd) as relay:
        env = rollouts.environment(env=new_env(), hosts=BOTH, relayed={"host-2": relay.port})
        result = _deploy(rollouts, env, EventLog(tmp_path / "events"), "PointTraffic", relay.close)
    assert (result.code, result.kind) == (4, "StuckError"), result.stderr
    assert "host-2" in result.error
    assert _live(rollouts)["host-1"] == good
    # Once the second host is reachable again, the command in the hint is enough.
    direct = rollouts.environment(env=new_env(), hosts=BOTH)
    shutil.copytree(direct.parent, env.parent, dirs_exist_ok=True)
    ship, *command = shlex.split(result.hint.partition("; ")[2].partition(" then ")[0])
    assert ship == "./ship"
    release = rollouts.ship(*command).expect_success().document["release"]
    assert _live(rollouts) == {"host-1": release, "host-2": release}
