"""Reverting the release of a failed pipeline, at every point that the pipeline may have reached."""

import pytest

from deploy.core.commands import paths
from deploy.core.planning.steps import name_of
from deploy.errors import LockedError
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    PromoteCommand,
    Result,
    deploy,
    promote,
    revert,
)
from deploy.run.rollout.events import Event, StepBegun
from deploy.testing import factories
from deploy.testing.fleet.faults import (
    Fault,
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet

ONE, TWO = "r000001-3f9c2ab", "r000002-3f9c2ab"
SERVICE = factories.service(replicas=2)


def context(fleet: Fleet) -> DeployContext:
    return DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)


def quiet(event: Event) -> None:
    del event


def run_deploy(fleet: Fleet, label: str, *, hold: bool = False) -> Result:
    image = factories.image(label)
    command = DeployCommand(
        SERVICE, image, factories.REPLICA, factories.stacks(), factories.ORIGIN, hold=hold
    )
    fleet.images.update([command.image, *(stack.image for stack in command.stacks)])
    return deploy(command, context(fleet), quiet)


def reverted(fleet: Fleet, release: str = TWO) -> Result:
    return revert(SERVICE, factories.ORIGIN, release, context(fleet), quiet)


def assert_whole(fleet: Fleet, release: str) -> None:
    assert set(fleet.served()) == {release}
    assert not any(paths.hold_file("app") in host.files for host in fleet.hosts)
    assert fleet.violations == []


@pytest.fixture
def held() -> Fleet:
    """Two hosts that serve ONE and hold TWO."""
    fleet = Fleet.of("host-1", "host-2")
    run_deploy(fleet, "one")
    fleet.must_serve.update(("host-1", "host-2"))
    assert run_deploy(fleet, "two", hold=True).release == TWO
    return fleet


def test_candidate_is_aborted(held: Fleet) -> None:
    assert reverted(held).outcome == "aborted"
    assert_whole(held, ONE)


def test_promoted_release_is_rolled_back(held: Fleet) -> None:
    promote(PromoteCommand(SERVICE, factories.ORIGIN, TWO), context(held), quiet)
    result = reverted(held)
    assert (result.outcome, result.release) == ("live", ONE)
    assert_whole(held, ONE)


def test_half_done_promote_is_rolled_back_on_every_host(held: Fleet) -> None:
    def kill(event: Event) -> None:
        match event:
            case StepBegun(step=step) if (name_of(step), step.host) == ("PointTraffic", "host-2"):
                held.faults.append(Fault("host-2", 1, FaultKind.KILLED))
            case _:
                pass

    with pytest.raises(Killed):
        promote(PromoteCommand(SERVICE, factories.ORIGIN, TWO), context(held), kill)
    held.revive()
    assert held.served() == [TWO, ONE]
    assert reverted(held).release == ONE
    assert_whole(held, ONE)


def test_empty_release_is_left_unchanged(held: Fleet) -> None:
    assert reverted(held, "").outcome == "unchanged"
    assert held.served() == [ONE, ONE]


def test_candidate_of_another_pipeline_stays(held: Fleet) -> None:
    assert reverted(held, "r000009-abc").outcome == "unchanged"
    assert any(paths.hold_file("app") in host.files for host in held.hosts)


def test_promote_of_the_live_release_changes_nothing(held: Fleet) -> None:
    promotion = PromoteCommand(SERVICE, factories.ORIGIN, TWO)
    promote(promotion, context(held), quiet)
    assert promote(promotion, context(held), quiet).outcome == "unchanged"
    with pytest.raises(LockedError, match="nothing is held"):
        promote(PromoteCommand(SERVICE, factories.ORIGIN, ONE), context(held), quiet)
