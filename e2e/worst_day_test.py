"""Faults of a host: killed replicas, edges, engines and a reboot recover without a person; a new edge loses nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from e2e.deployer_faults import EventLog
from e2e.live_sandbox import Clone, LiveSandbox
from e2e.loadgen.process import running_gets
from e2e.loadgen.replicas import find_replicas
from e2e.ship import until

NGINX = "deploy/nginx/nginx.conf"
BACK_WITHIN_S = 15.0
# After a reboot, Docker and sshd have to start first, on a machine that is busy with other tests.
REBOOTED_WITHIN_S = 60.0


def test_watchdog_restarts_a_killed_replica_and_no_request_is_lost(sandbox: LiveSandbox) -> None:
    victim = _replicas(sandbox)[0]
    host = sandbox.host()
    with running_gets(sandbox.url, rate=40) as load:
        until(lambda: load.record.replicas[victim] > 3, within_s=10)
        host.run("docker", "kill", victim)
        died = time.time()
        until(lambda: load.record.between(died + 1).replicas[victim] > 0, within_s=BACK_WITHIN_S)
    # nginx sent the GETs that the replica was serving to another one.
    assert not load.record.lost, str(load.record)
    assert max(row.seconds for row in load.record.rows) < 5
    last = json.loads(host.run("tail", "-n", "1", "/srv/py-cicd/ledger.jsonl"))
    assert (last["who"], last["event"], last["service"]) == ("watchdog", "effect", "app")
    assert (last["what"], last["code"]) == (f"start {victim}: it had ended", 0)
    assert sandbox.ship("history", "app", "--verify").expect_success().document["ok"]


def test_killed_edge_is_restarted(sandbox: LiveSandbox) -> None:
    (edge,) = _edges(sandbox)
    sandbox.host().run("docker", "kill", edge)
    until(lambda: _serves(sandbox, sandbox.release), within_s=BACK_WITHIN_S)
    assert _edges(sandbox) == [edge]


def test_restart_of_the_engine_loses_nothing_and_the_watchdog_still_works(
    sandbox: LiveSandbox,
) -> None:
    victim, host = _replicas(sandbox)[0], sandbox.host()
    with running_gets(sandbox.url, rate=30) as load:
        load.await_rows(31)
        pid = host.run("cat", "/run/docker.pid").strip()
        host.run("kill", pid)
        until(lambda: _engine_is_back(sandbox, pid), within_s=40)
        until(lambda: host.stack_containers("watchdog"), within_s=30)
        host.run("docker", "kill", victim)
        died = time.time()
        # The watchdog may have just started and has to connect to the engine first.
        until(lambda: load.record.between(died + 1).replicas[victim] > 0, within_s=30)
    assert not load.record.lost, str(load.record)
    ready = {"wanted": 5, "ready": 5}
    until(lambda: sandbox.service()["replicas"] == ready, within_s=BACK_WITHIN_S)


def test_new_edge_replaces_the_old_one_and_loses_nothing(
    sandbox: LiveSandbox, clone: Clone
) -> None:
    before, image = _edges(sandbox), sandbox.service()["image"]
    clone.replace(NGINX, "worker_processes auto;", "worker_processes auto;  # exchanged")
    with running_gets(sandbox.url, rate=60) as load:
        load.await_rows(61)
        done = sandbox.ship.of(clone.root)("deploy", "app", "--image", image).expect_success()
        replaced = time.time()
        until(lambda: load.record.rows[-1].due > replaced, within_s=10)
    clone.restore()
    steps = [step["step"] for step in done.document["steps"]]
    assert [step for step in steps if step in ("StartStack", "StopStack")] == [
        "StartStack",
        "StopStack",
    ]
    assert not load.record.lost, str(load.record)
    after = _edges(sandbox)
    assert len(after) == 1
    assert after != before


def test_broken_nginx_configuration_fails_the_deploy_before_replicas_start(
    sandbox: LiveSandbox, clone: Clone
) -> None:
    before, edges = sandbox.service(), _edges(sandbox)
    clone.replace(NGINX, "worker_processes auto;", "worker_processes perhaps;")
    with running_gets(sandbox.url, rate=30) as load:
        result = sandbox.ship.of(clone.root)("deploy", "app", "--image", before["image"])
    clone.restore()
    assert (result.code, result.kind) == (1, "RevertedError"), result.stderr
    assert "refused" in result.error
    assert "worker_processes" in result.error
    # WriteRelease: the live release's record names its edge, so it is rewritten, and again by the revert.
    done = {step["step"] for step in result.document["steps"]}
    assert done <= {"PullImages", "WriteRelease", "StartStack"}
    assert (sandbox.service(), _edges(sandbox)) == (before, edges)
    assert not load.record.lost, str(load.record)


def test_two_services_share_a_host_even_if_the_first_deploy_of_one_fails(
    sandbox: LiveSandbox, clone: Clone, tmp_path: Path
) -> None:
    app = sandbox.service()
    text = (sandbox.ship.root / "services" / "app" / "service.toml").read_text()
    text = text.replace('name = "app"', 'name = "second"').replace("replicas = 5", "replicas = 2")
    folder = clone.root / "services" / "second"
    folder.mkdir()
    (folder / "service.toml").write_text(
        text.replace('path = "/"\n', 'path = "/"\nhost = "second.test"\n', 1)
    )
    ship, words = sandbox.ship.of(clone.root), ("deploy", "second", "--image", app["image"])
    never = "health = {path = '/nowhere', startup_deadline_s = 4, healthy_deadline_s = 4}"
    with running_gets(sandbox.url, rate=30) as load:
        env, before = (
            sandbox.variant(tmp_path, f"[services.second]\n{never}"),
            _replicas_of_second(sandbox),
        )
        failed = ship(*words, env=env)
        assert (failed.code, failed.kind) == (1, "RevertedError"), failed.stderr
        assert _replicas_of_second(sandbox) == before
        done = ship(*words).expect_success()
    assert done.document["outcome"] == "live"
    assert not load.record.lost, str(load.record)
    assert _version(sandbox, "second.test")["service"] == "second"
    assert _version(sandbox)["service"] == "app"
    assert sandbox.service() == app
    victim = f"second-{done.document['release'].split('-')[0]}-1"
    sandbox.host().run("docker", "kill", victim)
    until(lambda: _version(sandbox, "second.test")["replica"] == victim, within_s=BACK_WITHIN_S)


@pytest.mark.parametrize("when", ["deploying", "quiet"])
def test_rebooted_host_serves_the_live_release(
    sandbox: LiveSandbox, tmp_path: Path, when: str
) -> None:
    before = sandbox.service()
    changed = sandbox.variant(tmp_path, '[services.app.env]\nLOG_LEVEL = "debug"')
    words = ("deploy", "app", "--image", before["image"])
    if when == "quiet":
        sandbox.host().container.restart(timeout=1)
    else:
        events = EventLog(tmp_path / "events.jsonl")
        call = sandbox.ship.start(*words, "--events", str(events.file), env=changed)
        events.await_step_done(call, "WriteRelease", within_s=60)
        sandbox.host().container.restart(timeout=1)
        result = call.wait(within_s=180)
        assert result.code in (1, 4), result.stderr
    until(lambda: _serves(sandbox, before["release"]), within_s=REBOOTED_WITHIN_S)
    expected = {replica["name"] for replica in before["hosts"][0]["replicas"]}
    assert find_replicas(sandbox.url, count=5, within_s=30) == expected
    if when != "quiet":
        again = sandbox.ship(*words, env=changed).expect_success()
        assert again.document["outcome"] == "live"
        assert sandbox.service()["drift"] == []


def _replicas(sandbox: LiveSandbox) -> list[str]:
    return [replica["name"] for replica in sandbox.service()["hosts"][0]["replicas"]]


def _edges(sandbox: LiveSandbox) -> list[str]:
    return sandbox.host().stack_containers("edge")


def _replicas_of_second(sandbox: LiveSandbox) -> list[str]:
    label = ("--filter", "label=py-cicd.service=second", "--format", "{{.Names}}")
    return sorted(sandbox.host().run("docker", "ps", *label).split())


def _engine_is_back(sandbox: LiveSandbox, pid: str) -> bool:
    try:
        sandbox.host().run("docker", "version")
        return sandbox.host().run("cat", "/run/docker.pid").strip() != pid
    except AssertionError:
        return False


def _version(sandbox: LiveSandbox, host: str | None = None) -> dict[str, Any]:
    headers = {"Host": host} if host else {}
    request = Request(f"{sandbox.url}/version", headers=headers)  # noqa: S310 - our own sandbox
    with urlopen(request, timeout=5) as answer:  # noqa: S310 - our own sandbox
        version: dict[str, Any] = json.load(answer)
    return version


def _serves(sandbox: LiveSandbox, release: str) -> bool:
    try:
        return bool(_version(sandbox)["release"] == release)
    except OSError:
        return False
