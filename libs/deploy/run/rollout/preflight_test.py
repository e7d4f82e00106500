"""What refuses a deploy before its first effect, and what only warns."""

from __future__ import annotations

import pytest

from deploy.errors import PreflightError
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    deploy,
)
from deploy.run.rollout.events import Event, Message
from deploy.testing import factories
from deploy.testing.fleet.fleet import Fleet


def ask(fleet: Fleet, label: str = "one") -> DeployCommand:
    found = DeployCommand(
        factories.service(),
        factories.image(label),
        factories.REPLICA,
        factories.stacks(),
        factories.ORIGIN,
    )
    fleet.images.update([found.image, *(stack.image for stack in found.stacks)])
    return found


def go(fleet: Fleet, request: DeployCommand) -> list[Event]:
    events: list[Event] = []
    context = DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)
    deploy(request, context, events.append)
    return events


def refusal(fleet: Fleet, request: DeployCommand) -> str:
    with pytest.raises(PreflightError) as caught:
        go(fleet, request)
    assert not any(host.engine.containers for host in fleet.hosts)
    return caught.value.message


def test_every_problem_of_every_host_is_told_at_once() -> None:
    fleet = Fleet.of("host-1", "host-2", "host-3")
    request = ask(fleet)
    fleet.registry.sizes[request.image] = 10_000_000_000
    fleet["host-1"].taken_ports = (80, 22)
    fleet["host-3"].engine.version = "20.10.24"
    told = refusal(fleet, request).split("; ")
    assert "host-1: port 80 (the edge, edge.http_port) is taken by something else" in told
    assert "host-2: 40000 MB of disk are free where 41240 MB are needed" in told
    assert "host-3: its Docker engine 20.10.24 is older than 26" in told


def test_a_registry_that_refuses_the_login_stops_it_before_anything_starts() -> None:
    fleet = Fleet.of("host-1")
    fleet.registry.refuses = True
    assert "refused our login" in refusal(fleet, ask(fleet))


def test_images_that_are_there_need_no_room_and_no_registry() -> None:
    fleet = Fleet.of("host-1")
    request = ask(fleet)
    fleet["host-1"].engine.images.update(fleet.images)
    fleet.registry.sizes[request.image] = 10**15
    fleet.registry.refuses = True
    go(fleet, request)
    assert fleet.served() == ["r000001-3f9c2ab"]


def test_a_clock_an_hour_off_is_told_and_breaks_nothing() -> None:
    fleet = Fleet.of("host-1", "host-2")
    fleet["host-2"].log.clock_off_s = -3600
    for label in ("one", "two", "three"):
        said = [each for each in go(fleet, ask(fleet, label)) if isinstance(each, Message)]
        warned = [each.host for each in said if "behind this machine's" in each.text]
        assert warned == ["host-2"]
    assert fleet.served() == ["r000003-3f9c2ab"] * 2
