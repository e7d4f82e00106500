"""The error if hosts can't be reverted: it names each of them, with what it last served."""

from __future__ import annotations

import pytest

from deploy.core.commands import locks
from deploy.core.state.ledger import parse_ledger
from deploy.run.rollout.context import StuckError
from deploy.run.rollout.deploy import deploy
from deploy.run.rollout.events import (
    Event,
    Listener,
    PlanMade,
)
from deploy.run.rollout.rollout_fixture import (
    ONE,
    TWO,
    context,
    deploy_command,
    fault_at,
    live_fleet,
)
from deploy.testing.fleet.faults import Fault, FaultKind
from deploy.testing.fleet.fleet import Fleet


def stuck(fleet: Fleet, listen: Listener) -> StuckError:
    with pytest.raises(StuckError) as caught:
        deploy(deploy_command(fleet, "two"), context(fleet), listen)
    assert caught.value.exit_code == 4
    return caught.value


@pytest.mark.parametrize(
    ("step", "state"),
    [
        ("AwaitHealthy", f"{ONE}, and no switch had begun"),
        ("PointTraffic", f"{ONE}, and its switch to {TWO} had begun and may have taken effect"),
        ("WatchRelease", f"{TWO}, and its switch to that had ended"),
    ],
)
def test_error_names_the_unreachable_host_its_state_and_the_next_command(
    step: str, state: str
) -> None:
    fleet = live_fleet("host-1", "host-2")
    error = stuck(fleet, fault_at(fleet, step, "host-2", FaultKind.GONE))
    lost = "host-2 can't be reached (the connection was lost), it last served"
    assert f"could not be reverted everywhere: {lost} {state}" in error.message
    assert "./ship status app" in error.hint
    assert "./ship deploy app" in error.hint
    assert fleet.served()[0] == ONE


def test_error_names_every_host_that_was_not_reverted() -> None:
    fleet = live_fleet("host-1", "host-2", "host-3")
    gone = fault_at(fleet, "PointTraffic", "host-3", FaultKind.GONE)

    def listen(event: Event) -> None:
        gone(event)
        if isinstance(event, PlanMade) and event.reverting:
            fleet.faults.append(Fault("host-2", 1, FaultKind.FAILS))

    error = stuck(fleet, listen)
    failed, lost = error.message.partition("everywhere: ")[2].split("; ")
    assert failed.startswith("host-2 failed (")
    assert f"it last served {TWO}, and its switch to " in failed
    assert lost.startswith("host-3 can't be reached (the connection was lost), ")
    assert fleet.served()[0] == ONE
    (last,) = [
        entry
        for entry in parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
        if (entry.event, entry.outcome) == ("ended", "stuck")
    ]
    assert "host-2" in last.why
    assert "host-3" in last.why
