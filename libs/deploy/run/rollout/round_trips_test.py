"""Bounds how often commands ask each host and the registry. A round trip may take a tenth of a second."""

from __future__ import annotations

from dataclasses import replace

from deploy.core.planning.requests import RollbackCommand
from deploy.core.planning.steps import PointTraffic
from deploy.run.queries.status import status
from deploy.run.rollout.deploy import DeployCommand, deploy, rollback
from deploy.run.rollout.events import Event, StepDone
from deploy.run.rollout.rollout_fixture import ONE, TWO, context, deploy_command, live_fleet, quiet
from deploy.testing import factories
from deploy.testing.fleet.fleet import Fleet

# Two replicas and no analysis, which asks as often as its number of requests is set to.
SERVICE = factories.service(replicas=2)


def ready() -> Fleet:
    """Returns two hosts that serve one release, with all counters at zero."""
    fleet = live_fleet("host-1", "host-2", service=SERVICE)
    reset(fleet)
    return fleet


def reset(fleet: Fleet) -> None:
    fleet.calls.clear()
    fleet.registry.requests = 0
    for host in fleet.hosts:
        host.commands = 0


def commands(fleet: Fleet) -> list[int]:
    return [host.commands for host in fleet.hosts]


class UntilSwitch:
    """A listener that notes how many commands each host had got when its users reached the release."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._found: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepDone) and isinstance(event.step, PointTraffic):
            self._found[event.step.host] = self._fleet[event.step.host].commands

    @property
    def commands(self) -> list[int]:
        return [self._found[host.name] for host in self._fleet.hosts]


def test_status_asks_each_host_once() -> None:
    fleet = ready()
    fleet["host-1"].locked_by = "somebody"
    status(fleet.environment(), fleet.hosts, [SERVICE])
    assert fleet.calls == {"host-1": 1, "host-2": 1}
    assert fleet.registry.requests == 0


def test_deploy_without_a_change_connects_locks_and_observes() -> None:
    fleet = ready()
    assert deploy(deploy_command(fleet, "one", SERVICE), context(fleet), quiet).release == ONE
    assert fleet.calls == {"host-1": 3, "host-2": 3}
    assert commands(fleet) == [2, 2]
    assert fleet.registry.requests == 0


def test_deploy_asks_each_host_and_the_registry_a_bounded_number_of_times() -> None:
    fleet = ready()
    deploy(
        deploy_command(fleet, "two", SERVICE), context(fleet), until_switch := UntilSwitch(fleet)
    )
    # Lock, snapshot, record, pull, write, start, three looks, shares, targets, and twice read and replace the routes.
    assert max(until_switch.commands) <= 15
    assert max(commands(fleet)) <= 35
    assert fleet.registry.requests <= 3  # the image's size, and a login for each host that pulls


def test_rollback_asks_each_host_a_bounded_number_of_times_and_no_registry() -> None:
    fleet = ready()
    deploy(deploy_command(fleet, "two", SERVICE), context(fleet), quiet)
    fleet.await_drained()
    reset(fleet)
    back = RollbackCommand(SERVICE, factories.ORIGIN, None)
    assert rollback(back, context(fleet), until_switch := UntilSwitch(fleet)).release == ONE
    # As for a deploy, without the pull, the release's files and the preview.
    assert max(until_switch.commands) <= 11
    # Two of these keep the logs of the release that is rolled back, once users have left it.
    assert max(commands(fleet)) <= 26
    assert fleet.registry.requests == 0


def test_stacks_are_looked_up_while_the_hosts_are_observed() -> None:
    fleet = ready()
    whole = deploy_command(fleet, "two", SERVICE)
    observed: list[list[int]] = []

    def complete(command: DeployCommand) -> DeployCommand:
        observed.append([host.commands for host in fleet.hosts])
        return replace(command, stacks=whole.stacks)

    bare = replace(whole, stacks=())
    assert deploy(bare, context(fleet), quiet, complete=complete).release == TWO
    assert all(count >= 1 for count in observed[0]), "the locks are held"
    assert [len(host.edges) for host in fleet.hosts] == [1, 1]
