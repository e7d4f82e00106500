"""The worst day of a host: what dies comes back by itself, what is exchanged loses nothing, and nobody is asked."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from e2e.loadgen.load import Load, replicas_seen
from e2e.ship import until
from e2e.stack import Clone, Stack

NGINX = "deploy/nginx/nginx.conf"
BACK_WITHIN_S = 15.0
# A reboot waits for Docker and sshd too, on a machine that does other things.
REBOOTED_WITHIN_S = 60.0


def test_a_replica_that_is_killed_is_missed_by_nobody_and_comes_back(stack: Stack) -> None:
    victim = _replicas(stack)[0]
    host = stack.host()
    with Load(stack.url, rate=40) as load:
        until(lambda: load.report.replicas[victim] > 3, within_s=10)
        host.run("docker", "kill", victim)
        died = time.monotonic()
        until(lambda: load.report.since(died + 1).replicas[victim] > 0, within_s=BACK_WITHIN_S)
    # What it had in hand was a GET, and another replica was asked.
    assert not load.report.lost, str(load.report)
    assert max(answer.seconds for answer in load.report.answers) < 5
    last = json.loads(host.run("tail", "-n", "1", "/srv/py-cicd/ledger.jsonl"))
    assert (last["who"], last["event"], last["service"]) == ("watchdog", "effect", "app")
    assert (last["what"], last["code"]) == (f"start {victim}: it had ended", 0)
    assert stack.ship("history", "app", "--verify").must().document["ok"]


def test_an_edge_that_is_killed_comes_back(stack: Stack) -> None:
    (edge,) = _edges(stack)
    stack.host().run("docker", "kill", edge)
    until(lambda: _serves(stack, stack.release), within_s=BACK_WITHIN_S)
    assert _edges(stack) == [edge]


def test_replicas_outlive_an_engine_restart_and_the_watchdog_goes_on(stack: Stack) -> None:
    victim, host = _replicas(stack)[0], stack.host()
    with Load(stack.url, rate=30) as load:
        until(lambda: len(load.report.answers) > 30, within_s=10)
        pid = host.run("cat", "/run/docker.pid").strip()
        host.run("kill", pid)
        until(lambda: _engine_is_back(stack, pid), within_s=40)
        until(lambda: _runs(stack, "watchdog"), within_s=30)
        host.run("docker", "kill", victim)
        died = time.monotonic()
        # A watchdog that is just starting checks the engine first.
        until(lambda: load.report.since(died + 1).replicas[victim] > 0, within_s=30)
    assert not load.report.lost, str(load.report)
    ready = {"wanted": 5, "ready": 5}
    until(lambda: stack.service()["replicas"] == ready, within_s=BACK_WITHIN_S)


def test_an_edge_is_exchanged_with_nothing_lost(stack: Stack, clone: Clone) -> None:
    before, image = _edges(stack), stack.service()["image"]
    clone.replace(NGINX, "worker_processes auto;", "worker_processes auto;  # exchanged")
    with Load(stack.url, rate=60) as load:
        until(lambda: len(load.report.answers) > 60, within_s=10)
        done = stack.ship.of(clone.root)("deploy", "app", "--image", image).must()
        gone = time.monotonic()
        until(lambda: load.report.answers[-1].due > gone, within_s=10)
    clone.restore()
    steps = [each["step"] for each in done.document["steps"]]
    assert [each for each in steps if each in ("StartPart", "RetirePart")] == [
        "StartPart",
        "RetirePart",
    ]
    assert not load.report.lost, str(load.report)
    after = _edges(stack)
    assert len(after) == 1
    assert after != before


def test_an_edge_whose_text_is_broken_is_told_before_anything_starts(
    stack: Stack, clone: Clone
) -> None:
    before, edges = stack.service(), _edges(stack)
    clone.replace(NGINX, "worker_processes auto;", "worker_processes perhaps;")
    with Load(stack.url, rate=30) as load:
        ended = stack.ship.of(clone.root)("deploy", "app", "--image", before["image"])
    clone.restore()
    assert (ended.code, ended.kind) == (1, "RevertedError"), ended.said
    assert "refused" in ended.error
    assert "worker_processes" in ended.error
    # The record of what is live names the edge that serves it, and is written anew on the way there and back.
    done = {each["step"] for each in ended.document["steps"]}
    assert done <= {"PullImages", "WriteRelease", "StartPart"}
    assert (stack.service(), _edges(stack)) == (before, edges)
    assert not load.report.lost, str(load.report)


def test_two_services_share_a_host_also_when_the_first_try_of_one_fails(
    stack: Stack, clone: Clone, tmp_path: Path
) -> None:
    app = stack.service()
    told = (stack.ship.root / "services" / "app" / "service.toml").read_text()
    told = told.replace('name = "app"', 'name = "second"').replace("replicas = 5", "replicas = 2")
    place = clone.root / "services" / "second"
    place.mkdir()
    (place / "service.toml").write_text(
        told.replace('path = "/"\n', 'path = "/"\nhost = "second.test"\n', 1)
    )
    ship, words = stack.ship.of(clone.root), ("deploy", "second", "--image", app["image"])
    never = "health = {path = '/nowhere', startup_deadline_s = 4, healthy_deadline_s = 4}"
    with Load(stack.url, rate=30) as load:
        env, before = stack.variant(tmp_path, f"[services.second]\n{never}"), _of_second(stack)
        failed = ship(*words, env=env)
        assert (failed.code, failed.kind) == (1, "RevertedError"), failed.said
        assert _of_second(stack) == before
        done = ship(*words).must()
    assert done.document["outcome"] == "live"
    assert not load.report.lost, str(load.report)
    assert _version(stack, "second.test")["service"] == "second"
    assert _version(stack)["service"] == "app"
    assert stack.service() == app
    victim = f"second-{done.document['release'].split('-')[0]}-1"
    stack.host().run("docker", "kill", victim)
    until(lambda: _version(stack, "second.test")["replica"] == victim, within_s=BACK_WITHIN_S)


@pytest.mark.parametrize("when", ["deploying", "quiet"])
def test_a_host_that_reboots_serves_by_itself(stack: Stack, tmp_path: Path, when: str) -> None:
    before = stack.service()
    changed = stack.variant(tmp_path, '[services.app.env]\nLOG_LEVEL = "debug"')
    words = ("deploy", "app", "--image", before["image"])
    if when == "quiet":
        stack.host().container.restart(timeout=1)
    else:
        call = stack.ship.start(*words, env=changed)
        call.await_said("] host-1: WriteRelease", within_s=60)
        stack.host().container.restart(timeout=1)
        ended = call.ended(within_s=180)
        assert ended.code in (1, 4), ended.said
    until(lambda: _serves(stack, before["release"]), within_s=REBOOTED_WITHIN_S)
    wanted = {each["name"] for each in before["hosts"][0]["replicas"]}
    assert replicas_seen(stack.url, wanted=5, within_s=30) == wanted
    if when != "quiet":
        again = stack.ship(*words, env=changed).must()
        assert again.document["outcome"] == "live"
        assert stack.service()["drift"] == []


def _replicas(stack: Stack) -> list[str]:
    return [each["name"] for each in stack.service()["hosts"][0]["replicas"]]


def _edges(stack: Stack) -> list[str]:
    return _names(stack, "label=py-cicd.name=edge")


def _of_second(stack: Stack) -> list[str]:
    return _names(stack, "label=py-cicd.service=second")


def _runs(stack: Stack, part: str) -> bool:
    return bool(_names(stack, f"label=py-cicd.name={part}"))


def _names(stack: Stack, label: str) -> list[str]:
    found = stack.host().run("docker", "ps", "--filter", label, "--format", "{{.Names}}")
    return sorted(found.split())


def _engine_is_back(stack: Stack, pid: str) -> bool:
    try:
        stack.host().run("docker", "version")
        return stack.host().run("cat", "/run/docker.pid").strip() != pid
    except AssertionError:
        return False


def _version(stack: Stack, host: str = "") -> dict[str, Any]:
    headers = {"Host": host} if host else {}
    request = Request(f"{stack.url}/version", headers=headers)  # noqa: S310 - our own stack
    with urlopen(request, timeout=5) as answer:  # noqa: S310 - our own stack
        told: dict[str, Any] = json.load(answer)
    return told


def _serves(stack: Stack, release: str) -> bool:
    try:
        return bool(_version(stack)["release"] == release)
    except OSError:
        return False
