"""What a pipeline takes back after it failed, at every point that it may have come to."""

import pytest

from deploy.core.commands import paths
from deploy.core.planning.steps import name_of
from deploy.errors import LockedError
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    Outcome,
    PromoteCommand,
    deploy,
    promote,
)
from deploy.run.rollout.events import Event, StepBegun
from deploy.run.rollout.revert import take_back
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


def go(fleet: Fleet, label: str, *, hold: bool = False) -> Outcome:
    image = factories.image(label)
    request = DeployCommand(
        SERVICE, image, factories.REPLICA, factories.stacks(), factories.ORIGIN, hold=hold
    )
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    return deploy(request, context(fleet), quiet)


def back(fleet: Fleet, release: str = TWO) -> Outcome:
    return take_back(SERVICE, factories.ORIGIN, release, context(fleet), quiet)


def assert_whole(fleet: Fleet, release: str) -> None:
    assert set(fleet.served()) == {release}
    assert not any(paths.hold_file("app") in host.files for host in fleet.hosts)
    assert fleet.violations == []


@pytest.fixture
def held() -> Fleet:
    """Two hosts that serve ONE and hold TWO."""
    fleet = Fleet.of("host-1", "host-2")
    go(fleet, "one")
    fleet.must_serve.update(("host-1", "host-2"))
    assert go(fleet, "two", hold=True).release == TWO
    return fleet


def test_a_candidate_goes(held: Fleet) -> None:
    assert back(held).outcome == "aborted"
    assert_whole(held, ONE)


def test_what_was_promoted_gives_way_to_what_was_before(held: Fleet) -> None:
    promote(PromoteCommand(SERVICE, factories.ORIGIN, TWO), context(held), quiet)
    outcome = back(held)
    assert (outcome.outcome, outcome.release) == ("live", ONE)
    assert_whole(held, ONE)


def test_a_promotion_that_was_killed_half_way_is_taken_back_on_every_host(held: Fleet) -> None:
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
    assert back(held).release == ONE
    assert_whole(held, ONE)


def test_where_nothing_was_held_nothing_is_done(held: Fleet) -> None:
    assert back(held, "").outcome == "unchanged"
    assert held.served() == [ONE, ONE]


def test_what_another_pipeline_holds_or_serves_stays(held: Fleet) -> None:
    assert back(held, "r000009-abc").outcome == "unchanged"
    assert any(paths.hold_file("app") in host.files for host in held.hosts)


def test_to_promote_what_is_live_already_is_nothing_to_do(held: Fleet) -> None:
    promotion = PromoteCommand(SERVICE, factories.ORIGIN, TWO)
    promote(promotion, context(held), quiet)
    assert promote(promotion, context(held), quiet).outcome == "unchanged"
    with pytest.raises(LockedError, match="nothing is held"):
        promote(PromoteCommand(SERVICE, factories.ORIGIN, ONE), context(held), quiet)
