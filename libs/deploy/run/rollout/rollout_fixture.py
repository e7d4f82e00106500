"""Deploy commands for simulated hosts, and the contexts and listeners that they run with."""

from __future__ import annotations

from deploy.core.config import Service
from deploy.core.planning.steps import name_of
from deploy.run.rollout.deploy import DeployCommand, DeployContext, Result, deploy
from deploy.run.rollout.events import Event, Listener, StepBegun
from deploy.testing import factories
from deploy.testing.fleet.faults import Fault, FaultKind
from deploy.testing.fleet.fleet import Fleet

ONE, TWO, THREE, FOUR = (f"r00000{number}-3f9c2ab" for number in (1, 2, 3, 4))
"""The ids of the first releases of a fleet."""


def context(fleet: Fleet, *, keep_releases: int = 5) -> DeployContext:
    environment = fleet.environment(keep_releases=keep_releases)
    return DeployContext(environment, fleet.hosts, fleet.registry, fleet, fleet.clock)


def quiet(event: Event) -> None:
    """Ignores the event."""
    del event


def deploy_command(
    fleet: Fleet,
    label: str,
    service: Service | None = None,
    *,
    stacks: str = "1",
    hold: bool = False,
) -> DeployCommand:
    """Returns a command to deploy the image of this label, and makes its images pullable.

    `service` is `factories.service()` by default. `stacks` is the version of the stacks.
    """
    service = service or factories.service()
    command = DeployCommand(
        service,
        factories.image(label, service.name),
        factories.REPLICA,
        factories.stacks(stacks),
        factories.ORIGIN,
        hold=hold,
    )
    fleet.images.update([command.image, *(stack.image for stack in command.stacks)])
    return command


def run_deploy(
    fleet: Fleet, command: DeployCommand, listen: Listener = quiet, *, keep_releases: int = 5
) -> Result:
    """Deploys, and checks that no invariant was violated and that the deploy has released its locks.

    It returns when the hosts have finished all drains.
    Tests that lock a host for somebody else while it runs use the token "another".
    """
    before = {host.locked_by for host in fleet.hosts}
    try:
        result = deploy(command, context(fleet, keep_releases=keep_releases), listen)
        fleet.await_drained()
        return result
    finally:
        assert fleet.violations == []
        assert {host.locked_by for host in fleet.hosts} <= before | {"", "another"}


def live_fleet(*names: str, service: Service | None = None) -> Fleet:
    """Returns hosts ("host-1" by default) that serve the image "one" as ONE."""
    fleet = Fleet.of(*(names or ("host-1",)))
    run_deploy(fleet, deploy_command(fleet, "one", service))
    fleet.must_serve.update(host.name for host in fleet.hosts)
    return fleet


def fault_at(fleet: Fleet, step: str, host: str, kind: FaultKind, *, call: int = 1) -> Listener:
    """Returns a listener that adds a fault to this call of a host whenever this step begins on it."""

    def listen(event: Event) -> None:
        if isinstance(event, StepBegun) and (name_of(event.step), event.step.host) == (step, host):
            fleet.faults.append(Fault(host, call, kind))

    return listen
