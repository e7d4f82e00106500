"""What refuses a deploy before its first effect, and what only gives a warning."""

from __future__ import annotations

import pytest

from deploy.errors import PreflightError
from deploy.run.rollout.deploy import DeployCommand
from deploy.run.rollout.events import Event, Message
from deploy.run.rollout.rollout_fixture import deploy_command, run_deploy
from deploy.testing.fleet.fleet import Fleet


def refusal(fleet: Fleet, command: DeployCommand) -> str:
    with pytest.raises(PreflightError) as caught:
        run_deploy(fleet, command)
    assert not any(host.engine.containers for host in fleet.hosts)
    return caught.value.message


def test_all_problems_of_all_hosts_are_reported_at_once() -> None:
    fleet = Fleet.of("host-1", "host-2", "host-3")
    command = deploy_command(fleet, "one")
    fleet.registry.sizes[command.image] = 10_000_000_000
    fleet["host-1"].taken_ports = (80, 22)
    fleet["host-3"].engine.version = "20.10.24"
    problems = refusal(fleet, command).split("; ")
    assert "host-1: port 80 (the edge, edge.http_port) is taken by another program" in problems
    assert "host-2: 40000 MB of disk are free, 41240 MB are needed" in problems
    assert "host-3: its Docker engine 20.10.24 is older than 26" in problems


def test_registry_that_refuses_the_login_stops_a_deploy_before_anything_is_changed() -> None:
    fleet = Fleet.of("host-1")
    fleet.registry.refuses = True
    assert "refused the login" in refusal(fleet, deploy_command(fleet, "one"))


def test_images_on_the_hosts_need_no_disk_space_and_no_registry() -> None:
    fleet = Fleet.of("host-1")
    command = deploy_command(fleet, "one")
    fleet["host-1"].engine.images.update(fleet.images)
    fleet.registry.sizes[command.image] = 10**15
    fleet.registry.refuses = True
    run_deploy(fleet, command)
    assert fleet.served() == ["r000001-3f9c2ab"]


def test_clock_an_hour_off_gives_a_warning_and_breaks_nothing() -> None:
    fleet = Fleet.of("host-1", "host-2")
    fleet["host-2"].log.clock_off_s = -3600
    for label in ("one", "two", "three"):
        events: list[Event] = []
        run_deploy(fleet, deploy_command(fleet, label), events.append)
        messages = [event for event in events if isinstance(event, Message)]
        warned = [event.host for event in messages if "behind this machine's" in event.text]
        assert warned == ["host-2"]
    assert fleet.served() == ["r000003-3f9c2ab"] * 2
