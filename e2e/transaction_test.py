"""Two hosts, one transaction: when the second one fails, the first is taken back, or a person is told what to do."""

from __future__ import annotations

import itertools
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.deployer_faults import Events
from e2e.loadgen.generator import Plan
from e2e.loadgen.process import (
    Running,
    running,
    streams_of,
)
from e2e.relay import Relay
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts, port_of
from e2e.ship import Ended
from e2e.stack import Stack
from e2e.target import output_folder

BOTH = ("host-1", "host-2")
_turns = itertools.count(1)


def told() -> dict[str, str]:
    return {"TRANSACTION": f"{next(_turns)}-{time.time():.0f}"}


@pytest.fixture(scope="module")
def good(stack: Stack, rollouts: Rollouts) -> str:
    """The release that both hosts serve."""
    stack.ship("up", "--yes", "--hosts", "2", "--no-e2e").must()
    env = rollouts.environment(env=told(), hosts=BOTH)
    return str(rollouts.deploy(env).must().document["release"])


@pytest.fixture(autouse=True)
def load(stack: Stack, good: str, request: pytest.FixtureRequest) -> Iterator[Running]:
    """Users of the first host, who never notice."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    out = output_folder() / "transaction" / f"{name}.tsv"
    with running(Plan(stack.url, str(out), streams_of("app.test", HOST_NAME), rate=50)) as load:
        load.await_rows(20)
        yield load
    assert not load.record.lost, str(load.record)


def _live(rollouts: Rollouts) -> dict[str, str]:
    env = rollouts.environment(hosts=BOTH)
    (service,) = rollouts.ship("status", SERVICE, env=env).must().document["services"]
    return {host["name"]: host["release"] for host in service["hosts"]}


def _deploy(
    rollouts: Rollouts, env: Path, events: Events, step: str, act: Callable[[], object]
) -> Ended:
    """Deploys, and does something when a step of the second host begins."""
    call = rollouts.start(("deploy", SERVICE, "--image", rollouts.image), env, events.file)
    begun = events.await_event(
        call,
        lambda each: (
            (each["event"], each.get("step"), each.get("host")) == ("StepBegun", step, "host-2")
        ),
        within_s=180,
    )
    assert begun is not None, call.said()
    act()
    return call.ended()


def _candidate(rollouts: Rollouts, good: str) -> str:
    """The name of a replica on the second host that isn't of the good release."""
    listed = rollouts.stack.host(2).run(
        *("docker", "ps", "--all", "--filter", f"label=py-cicd.service={SERVICE}"),
        *("--format", '{{.Names}} {{.Label "py-cicd.release"}}'),
    )
    return next(line.split()[0] for line in listed.splitlines() if line.split()[1] != good)


def test_a_second_host_whose_replicas_fail(rollouts: Rollouts, good: str, tmp_path: Path) -> None:
    host, events = rollouts.stack.host(2), Events(tmp_path / "events")
    env = rollouts.environment(env=told(), hosts=BOTH)
    ended = _deploy(
        *(rollouts, env, events, "AwaitHealthy"),
        lambda: host.run("docker", "kill", _candidate(rollouts, good)),
    )
    assert (ended.code, ended.kind) == (1, "RevertedError"), ended.said
    assert "host-2" in ended.error
    assert _live(rollouts) == {"host-1": good, "host-2": good}


def test_a_second_host_that_users_cannot_reach(
    rollouts: Rollouts, good: str, tmp_path: Path
) -> None:
    events = Events(tmp_path / "events")
    env = rollouts.environment(env=told(), hosts=BOTH)
    text = env.read_text()
    url = rollouts.stack.environment()["hosts"][1]["url"]
    env.write_text(text.replace(url, "http://127.0.0.1:9"))  # nobody listens there
    ended = rollouts.deploy(env, events=events.file)
    # It is taken back, and nobody can see from outside that it is: that is for a person.
    assert (ended.code, ended.kind) == (4, "StuckError"), ended.said
    assert "host-2 at http://127.0.0.1:9" in ended.error
    switched = [each for each in events.more() if each.get("step") == "PointTraffic"]
    assert {each["host"] for each in switched} == set(BOTH), "both had switched"
    assert _live(rollouts) == {"host-1": good, "host-2": good}


def test_a_second_host_that_is_gone_when_it_is_to_be_taken_back(
    rollouts: Rollouts, good: str, tmp_path: Path
) -> None:
    sshd = ("127.0.0.1", port_of(rollouts.stack.environment_file.read_text(), "host-2"))
    with Relay(sshd) as relay:
        env = rollouts.environment(env=told(), hosts=BOTH, relayed={"host-2": relay.port})
        ended = _deploy(rollouts, env, Events(tmp_path / "events"), "PointTraffic", relay.close)
    assert (ended.code, ended.kind) == (4, "StuckError"), ended.said
    assert "host-2" in ended.error
    assert _live(rollouts)["host-1"] == good
    # The second host is back, at the address that the environment names: what the hint says is enough.
    direct = rollouts.environment(env=told(), hosts=BOTH)
    shutil.copytree(direct.parent, env.parent, dirs_exist_ok=True)
    ship, *command = shlex.split(ended.hint.partition("; ")[2].partition(" then ")[0])
    assert ship == "./ship"
    release = rollouts.ship(*command).must().document["release"]
    assert _live(rollouts) == {"host-1": release, "host-2": release}
