"""What is told where a host can't be taken back: each such host by name, with what it was last known to serve."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy.core.commands import locks
from deploy.core.planning.steps import name_of
from deploy.core.state.ledger import parse_ledger
from deploy.run.rollout.context import StuckError
from deploy.run.rollout.deploy import deploy
from deploy.run.rollout.deploy_test import asking, context
from deploy.run.rollout.events import (
    Event,
    PlanMade,
    StepBegun,
)
from deploy.testing.fleet.faults import Fault, FaultKind
from deploy.testing.fleet.fleet import Fleet

ONE, TWO = "r000001-3f9c2ab", "r000002-3f9c2ab"


def live_fleet(*names: str) -> Fleet:
    fleet = Fleet.of(*names)
    deploy(asking(fleet, "one"), context(fleet), lambda event: None)
    return fleet


def gone_at(fleet: Fleet, step: str, host: str) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if isinstance(event, StepBegun) and (name_of(event.step), event.step.host) == (step, host):
            fleet.faults.append(Fault(host, 1, FaultKind.GONE))

    return tell


def stuck(fleet: Fleet, tell: Callable[[Event], None]) -> StuckError:
    with pytest.raises(StuckError) as caught:
        deploy(asking(fleet, "two"), context(fleet), tell)
    assert caught.value.exit_code == 4
    return caught.value


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("AwaitHealthy", f"serve {ONE}, no switch of it had begun"),
        ("PointTraffic", f"serve {ONE}, its switch to {TWO} had begun and was not seen to end"),
        ("WatchRelease", f"serve {TWO}, its switch to that had ended"),
    ],
)
def test_a_host_that_is_gone_is_told_of_with_its_state_and_the_command(
    step: str, told: str
) -> None:
    fleet = live_fleet("host-1", "host-2")
    error = stuck(fleet, gone_at(fleet, step, "host-2"))
    lost = "host-2 can't be looked at (the connection was lost), was last known to"
    assert f"could not be taken back everywhere: {lost} {told}" in error.message
    assert "./ship status app" in error.hint
    assert "./ship deploy app" in error.hint
    assert fleet.served()[0] == ONE


def test_every_host_that_is_not_back_is_named() -> None:
    fleet = live_fleet("host-1", "host-2", "host-3")
    gone = gone_at(fleet, "PointTraffic", "host-3")

    def tell(event: Event) -> None:
        gone(event)
        if isinstance(event, PlanMade) and event.reverting:
            fleet.faults.append(Fault("host-2", 1, FaultKind.FAILS))

    error = stuck(fleet, tell)
    back, lost = error.message.partition("everywhere: ")[2].split("; ")
    assert back.startswith("host-2 failed (")
    assert f"was last known to serve {TWO}, its switch to " in back
    assert lost.startswith("host-3 can't be looked at (the connection was lost), ")
    assert fleet.served()[0] == ONE
    (last,) = [
        entry
        for entry in parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
        if (entry.event, entry.outcome) == ("ended", "stuck")
    ]
    assert "host-2" in last.why
    assert "host-3" in last.why
