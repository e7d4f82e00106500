"""Replicas that a rollout leaves to their hosts, whose watchdogs, engines and clocks may fail at every step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.core.commands import paths
from deploy.core.planning.requests import RollbackCommand, ScaleCommand
from deploy.core.planning.steps import name_of
from deploy.core.state.draining import DRAINS_LABEL
from deploy.run.queries.history import history
from deploy.run.queries.status import status
from deploy.run.rollout.deploy import Result, StuckError, deploy, plan, rollback, scale
from deploy.run.rollout.draining import await_drained
from deploy.run.rollout.events import Event, Message, StepDone
from deploy.run.rollout.rollout_fixture import ONE, TWO, context, deploy_command, live_fleet, quiet
from deploy.testing import factories
from deploy.testing.fleet import watchdog
from deploy.testing.fleet.fleet import Fleet

SERVICE = factories.service(replicas=2)
DRAIN_S = SERVICE.health.drain_s
STEPS = range(len(watchdog.STEPS))


def streaming() -> Fleet:
    """Returns two hosts whose users keep streams open for longer than any drain."""
    fleet = live_fleet("host-1", "host-2", service=SERVICE)
    for host in fleet.hosts:
        host.nginx.lingers_s = 1000.0
    return fleet


def upgraded() -> Fleet:
    """Returns two hosts that serve TWO, with ONE draining and its users' streams open."""
    fleet = streaming()
    assert run_deploy(fleet, "two").release == TWO
    return fleet


def run_deploy(fleet: Fleet, label: str) -> Result:
    return deploy(deploy_command(fleet, label, SERVICE), context(fleet), quiet)


def roll_back(fleet: Fleet) -> Result:
    return rollback(RollbackCommand(SERVICE, factories.ORIGIN, None), context(fleet), quiet)


def running(fleet: Fleet) -> set[str]:
    return {
        container.labels["py-cicd.release"]
        for host in fleet.hosts
        for container in host.engine.containers.values()
        if "py-cicd.release" in container.labels
    }


def start_watchdogs(fleet: Fleet) -> None:
    """Starts the watchdogs that have ended, as the engine does."""
    for host in fleet.hosts:
        host.watchdog_dies_before = None
        for container in host.engine.containers.values():
            if container.labels["py-cicd.name"] == "watchdog":
                container.behaviour = replace(container.behaviour, dies_after_s=None)


def test_a_deploy_ends_while_streams_are_open() -> None:
    fleet = streaming()
    steps = plan(deploy_command(fleet, "two", SERVICE), context(fleet)).steps
    assert {"AwaitDrained", "StopRelease"}.isdisjoint(map(name_of, steps))
    result = run_deploy(fleet, "two")
    assert (result.release, running(fleet)) == (TWO, {ONE, TWO})
    fleet.await_drained()
    assert (running(fleet), fleet.violations) == ({TWO}, [])


def test_replicas_stop_at_drain_s_whatever_old_workers_hold() -> None:
    fleet = upgraded()
    begun = fleet.clock.monotonic()
    fleet.await_drained()
    assert fleet.clock.monotonic() - begun == pytest.approx(DRAIN_S, abs=2)
    assert all(host.nginx.leaving for host in fleet.hosts)


def test_a_second_deploy_finds_nothing_to_do_while_replicas_drain() -> None:
    fleet = upgraded()
    assert run_deploy(fleet, "two").outcome == "unchanged"


def test_rollback_to_a_draining_release_keeps_its_replicas() -> None:
    fleet = upgraded()
    before = dict(fleet["host-1"].engine.containers)
    assert roll_back(fleet).release == ONE
    assert fleet.served() == [ONE, ONE]
    names = [name for name in before if name.startswith("app-r000001")]
    assert all(fleet["host-1"].engine.containers[name] is before[name] for name in names)
    fleet.await_drained()
    assert (running(fleet), fleet.violations) == ({ONE}, [])


@pytest.mark.parametrize("number", STEPS)
def test_rollback_at_every_step_of_a_drain_serves_the_release_again(number: int) -> None:
    fleet = upgraded()
    fleet["host-1"].watchdog_dies_before = number
    fleet.clock.sleep(DRAIN_S)
    watchdog.check(fleet["host-1"])
    if number % 2:
        start_watchdogs(fleet)
    assert roll_back(fleet).release == ONE
    assert (fleet.served(), fleet.violations) == ([ONE, ONE], [])
    start_watchdogs(fleet)
    fleet.await_drained()
    assert (running(fleet), fleet.served(), fleet.violations) == ({ONE}, [ONE, ONE], [])


@pytest.mark.parametrize("number", STEPS)
def test_drain_ends_when_the_watchdog_died_before_a_step(number: int) -> None:
    fleet = upgraded()
    fleet["host-1"].watchdog_dies_before = number
    fleet.clock.sleep(DRAIN_S)
    watchdog.check(fleet["host-1"])
    assert any(name.startswith("host-1") for name in fleet.draining())
    start_watchdogs(fleet)
    fleet.await_drained()
    assert (running(fleet), fleet.violations) == ({TWO}, [])


@pytest.mark.parametrize("number", STEPS)
def test_next_deploy_finishes_what_a_dead_watchdog_left(number: int) -> None:
    fleet = upgraded()
    fleet["host-1"].watchdog_dies_before = number
    fleet.clock.sleep(DRAIN_S)
    watchdog.check(fleet["host-1"])
    run_deploy(fleet, "two")
    start_watchdogs(fleet)
    fleet.await_drained()
    assert (running(fleet), fleet.violations) == ({TWO}, [])
    assert plan(deploy_command(fleet, "two", SERVICE), context(fleet)).steps == ()


def test_an_overdue_drain_is_finished_by_the_next_deploy_and_shown_by_status() -> None:
    fleet = upgraded()
    fleet["host-1"].watchdog_dies_before = 0
    fleet.clock.sleep(DRAIN_S + 60)
    for host in fleet.hosts:
        watchdog.check(host)
    (found,) = status(fleet.environment(), fleet.hosts, [SERVICE])
    assert any(f"{ONE} should have drained" in line for line in found["drift"])
    run_deploy(fleet, "two")
    assert (fleet.draining(), running(fleet), fleet.violations) == ([], {TWO}, [])


@pytest.mark.parametrize("how", ["paused", "older", "down"])
def test_without_a_watchdog_that_finishes_drains_the_deploy_does(how: str) -> None:
    fleet = streaming()
    for host in fleet.hosts:
        match how:
            case "paused":
                host.files[paths.WATCHDOG_PAUSES[0]] = b""
            case "older":
                for container in host.engine.containers.values():
                    kept = (item for item in container.labels.items() if item[0] != DRAINS_LABEL)
                    container.labels = dict(kept)
            case _:
                host.engine.halt_stack("watchdog")
    begun = fleet.clock.monotonic()
    done: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepDone):
            done.append(name_of(event.step))

    deploy(deploy_command(fleet, "two", SERVICE), context(fleet), listen)
    assert fleet.clock.monotonic() - begun >= DRAIN_S
    assert {"AwaitDrained", "StopRelease"} <= {*done}
    assert (fleet.draining(), running(fleet), fleet.violations) == ([], {TWO}, [])
    # The hosts' threads share a clock, so each of them also sees the pauses of the other.
    drained_s = history(fleet.hosts, "app")[-1].document()["durations"]["drain"]
    assert DRAIN_S - 1 <= drained_s <= fleet.clock.monotonic() - begun


def test_scaling_up_again_ends_the_drain_of_surplus_replicas() -> None:
    fleet = streaming()
    for count in (1, 2):
        scale(ScaleCommand(SERVICE, factories.ORIGIN, count), context(fleet), quiet)
        assert fleet.violations == []
    fleet.await_drained()
    for host in fleet.hosts:
        assert sum(c.has_check for c in host.engine.containers.values()) == 2


def test_status_shows_what_drains_and_that_it_is_no_drift() -> None:
    fleet = upgraded()
    (found,) = status(fleet.environment(), fleet.hosts, [SERVICE])
    assert (found["drift"], [host["phase"] for host in found["hosts"]]) == ([], ["draining"] * 2)
    assert [(each["host"], each["release"], each["replicas"]) for each in found["draining"]] == [
        ("host-1", ONE, 2),
        ("host-2", ONE, 2),
    ]
    assert all(0 < each["ends_in_s"] <= DRAIN_S + 1 for each in found["draining"])
    fleet.await_drained()
    (found,) = status(fleet.environment(), fleet.hosts, [SERVICE])
    assert (found["draining"], [host["phase"] for host in found["hosts"]]) == ([], ["live"] * 2)


def test_waiting_ends_when_every_host_has_drained_and_history_has_both_durations() -> None:
    fleet = streaming()
    result = run_deploy(fleet, "two")
    assert "drain" not in history(fleet.hosts, "app")[-1].document()["durations"]
    said: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Message):
            said.append(event.text)

    await_drained(context(fleet), result, listen)
    assert (fleet.draining(), running(fleet)) == ([], {TWO})
    assert said[0] == "waiting for 4 replicas to drain, at most 5 s"
    assert said[1].startswith("drained in ")
    durations = history(fleet.hosts, "app")[-1].document()["durations"]
    assert set(durations) == {"command", "drain"}
    assert durations["drain"] >= DRAIN_S - 1


def test_waiting_for_a_watchdog_that_is_gone_ends_with_what_to_do() -> None:
    fleet = streaming()
    result = run_deploy(fleet, "two")
    fleet["host-2"].watchdog_dies_before = 0
    with pytest.raises(StuckError, match=f"still run: host-2 {ONE}") as error:
        await_drained(context(fleet), result, quiet)
    assert "./ship deploy app" in error.value.hint
