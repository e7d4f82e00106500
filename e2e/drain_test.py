"""A rollback ends while streams are open, and the host stops the replaced replicas at `drain_s`, whatever is killed."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from e2e.live_sandbox import HostContainer, LiveSandbox
from e2e.rollouts import HOST_NAME, SERVICE, Rollouts
from e2e.ship import Ship, until

DRAIN_S = 20.0
LATEST_S = DRAIN_S + 20.0
"""When a drain has certainly ended: the watchdog checks every 2 s, and kills after 5 s more."""

SETTINGS = f"health = {{ drain_s = {DRAIN_S} }}\nrollout = {{ watch_s = 0 }}"


@dataclass(frozen=True)
class Scene:
    """A sandbox on which two releases of the fixture were live; `ship` doesn't wait for drains."""

    sandbox: LiveSandbox
    ship: Ship
    environment: Path

    def status(self) -> dict[str, Any]:
        found = self.ship("status", SERVICE, env=self.environment).expect_success()
        service: dict[str, Any] = found.document["services"][0]
        return service

    def roll_back(self) -> tuple[str, str]:
        """Rolls back; returns the release that is live then, and the one before."""
        document = self.ship("rollback", SERVICE, env=self.environment).expect_success().document
        return str(document["release"]), str(document["previous"])

    def replicas(self, release: str) -> list[str]:
        """Returns the sorted ids of a release's containers on the host, running or not."""
        label = ("--filter", f"label=py-cicd.release={release}", "--format", "{{.ID}}")
        return sorted(self.sandbox.host().run("docker", "ps", "--all", *label).split())

    def last_operation(self) -> dict[str, Any]:
        found = self.ship("history", SERVICE, env=self.environment).expect_success()
        operation: dict[str, Any] = found.document["releases"][-1]
        return operation

    def await_drained(self) -> None:
        until(lambda: not self.status()["draining"], within_s=LATEST_S, every_s=0.5)


@pytest.fixture(scope="module")
def scene(sandbox: LiveSandbox, rollouts: Rollouts) -> Scene:
    for turn in ("1", "2"):
        environment = rollouts.environment(env={"PROOF_TURN": turn}, settings=SETTINGS)
        rollouts.deploy(environment).expect_success()
    return Scene(sandbox, replace(rollouts.ship, waits_drained=False), environment)


@contextmanager
def stream(sandbox: LiveSandbox) -> Iterator[http.client.HTTPResponse]:
    """An open stream of events through the edge, of which the first event has come."""
    address = urlsplit(sandbox.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    connection.request("GET", "/events", headers={"Host": HOST_NAME})
    response = connection.getresponse()
    try:
        assert response.status == 200
        assert response.readline().startswith(b"data: ")
        yield response
    finally:
        connection.close()


def read_to_end(response: http.client.HTTPResponse) -> None:
    """Reads a stream until it ends or is cut, which happens when its replica ends."""
    with suppress(http.client.HTTPException, ConnectionError):
        while response.readline():
            pass


def test_rollback_ends_while_a_stream_is_open_and_its_replicas_stop_at_drain_s(
    scene: Scene,
) -> None:
    with stream(scene.sandbox) as response:
        live, before = scene.roll_back()
        status = scene.status()
        assert [drain["release"] for drain in status["draining"]] == [before]
        assert (status["release"], status["drift"]) == (live, [])
        assert len(scene.replicas(before)) == 2
        assert "drain" not in scene.last_operation()["durations"]
        scene.await_drained()
        read_to_end(response)
    assert scene.replicas(before) == []
    assert len(scene.replicas(live)) == 2
    operation = scene.last_operation()
    assert DRAIN_S <= operation["durations"]["drain"] <= LATEST_S
    assert operation["requests_cut"] == 1


def test_rollback_to_a_release_that_drains_keeps_its_replicas_and_streams(scene: Scene) -> None:
    with stream(scene.sandbox) as response:
        _, draining = scene.roll_back()
        kept = scene.replicas(draining)
        again, _ = scene.roll_back()
        assert (again, scene.replicas(again)) == (draining, kept)
        assert response.readline()
    scene.await_drained()
    assert scene.replicas(again) == kept


def test_drain_ends_though_the_watchdog_was_killed(scene: Scene) -> None:
    with stream(scene.sandbox) as response:
        live, before = scene.roll_back()
        kill_watchdog(scene.sandbox.host())
        scene.await_drained()
        read_to_end(response)
    assert (scene.replicas(before), len(scene.replicas(live))) == ([], 2)
    assert scene.status()["drift"] == []


def test_deploy_drains_itself_while_the_watchdog_is_paused(
    scene: Scene, rollouts: Rollouts
) -> None:
    host, pause = scene.sandbox.host(), "/srv/py-cicd/watchdog.pause"
    host.run("touch", pause)
    try:
        with stream(scene.sandbox):
            _, before = scene.roll_back()
    finally:
        host.run("rm", pause)
    assert scene.replicas(before) == []
    assert scene.status()["draining"] == []
    assert scene.last_operation()["durations"]["drain"] >= DRAIN_S


def kill_watchdog(host: HostContainer) -> None:
    """Kills the watchdog's process; the engine starts it again."""
    (name,) = host.stack_containers("watchdog")
    host.run("kill", "-9", host.replica_pid(name))
    until(lambda: host.stack_containers("watchdog"), within_s=30)
