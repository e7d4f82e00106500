"""Reverting the release of a failed pipeline, at every point that the pipeline may have reached."""

import pytest

from deploy.core.commands import paths
from deploy.errors import LockedError
from deploy.run.rollout.deploy import (
    PromoteCommand,
    Result,
    promote,
    revert,
)
from deploy.run.rollout.rollout_fixture import (
    ONE,
    TWO,
    context,
    deploy_command,
    fault_at,
    live_fleet,
    quiet,
    run_deploy,
)
from deploy.testing import factories
from deploy.testing.fleet.faults import (
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet

SERVICE = factories.service(replicas=2)


def reverted(fleet: Fleet, release: str = TWO) -> Result:
    return revert(SERVICE, factories.ORIGIN, release, context(fleet), quiet)


def assert_whole(fleet: Fleet, release: str) -> None:
    assert set(fleet.served()) == {release}
    assert not any(paths.hold_file("app") in host.files for host in fleet.hosts)
    assert fleet.violations == []


@pytest.fixture
def held() -> Fleet:
    """Two hosts that serve ONE and hold TWO."""
    fleet = live_fleet("host-1", "host-2", service=SERVICE)
    assert run_deploy(fleet, deploy_command(fleet, "two", SERVICE, hold=True)).release == TWO
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
    kill = fault_at(held, "PointTraffic", "host-2", FaultKind.KILLED)
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
