"""What happens to a release after its switch, on simulated hosts."""

from __future__ import annotations

import pytest

from deploy.core.commands import locks
from deploy.core.state.ledger import parse_ledger
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    Outcome,
    RevertedError,
    deploy,
)
from deploy.run.rollout.events import Event, Message
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.fleet import Fleet

ONE, TWO = "r000001-3f9c2ab", "r000002-3f9c2ab"


def go(fleet: Fleet, label: str, told: list[Event]) -> Outcome:
    request = DeployCommand(
        factories.service(),
        factories.image(label),
        factories.REPLICA,
        factories.stacks(),
        factories.ORIGIN,
    )
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    context = DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)
    return deploy(request, context, told.append)


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet.of("host-1", "host-2")
    go(fleet, "one", [])
    fleet.must_serve.update(("host-1", "host-2"))
    return fleet


def taken_back(fleet: Fleet) -> str:
    with pytest.raises(RevertedError) as error:
        go(fleet, "two", [])
    assert fleet.violations == []
    assert fleet.served() == [ONE, ONE]
    assert error.value.exit_code == 1
    entries = parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
    assert [e.outcome for e in entries if e.event == "ended"] == ["live", "reverted"]
    return error.value.message


def test_a_release_that_answers_well_stays_and_the_evidence_is_told(fleet: Fleet) -> None:
    told: list[Event] = []
    fleet["host-2"].answers[TWO] = (200, 4)  # 2 %, which is allowed
    assert go(fleet, "two", told).outcome == "live"
    said = [event.text for event in told if isinstance(event, Message)]
    assert "host-2: 4 of 200 answers failed in 1 s (2.0%, at most 2.0%)" in said


def test_a_release_whose_answers_fail_on_one_host_is_taken_back_on_all(fleet: Fleet) -> None:
    fleet["host-2"].answers[TWO] = (200, 5)
    told = taken_back(fleet)
    assert "5 of 200 answers failed" in told
    assert "\n  log: app-r000002-1 printed its last line" in told


def test_one_failed_answer_may_be_chance(fleet: Fleet) -> None:
    fleet["host-1"].answers[TWO] = (3, 1)
    assert go(fleet, "two", []).outcome == "live"
    fleet["host-1"].answers["r000003-3f9c2ab"] = (3, 2)
    with pytest.raises(RevertedError):
        go(fleet, "three", [])
    assert fleet.served() == [TWO, TWO]


def test_a_release_that_nobody_asks_stays_and_that_is_told(fleet: Fleet) -> None:
    told: list[Event] = []
    fleet["host-1"].answers[TWO] = fleet["host-2"].answers[TWO] = (0, 0)
    assert go(fleet, "two", told).outcome == "live"
    assert fleet.served() == [TWO, TWO]
    said = [event.text for event in told if isinstance(event, Message)]
    assert "host-2: no request in 1 s, so that nothing can be said" in said


def test_a_replica_that_ends_after_its_health_check_takes_the_release_back(fleet: Fleet) -> None:
    fleet.watched = (
        False  # the simulation calls a dead replica behind an edge wrong, which is the matter here
    )
    image = factories.image("two")
    fleet["host-2"].engine.behaviours[image] = ContainerBehaviour(dies_after_s=3.0)
    told = taken_back(fleet)
    assert "ended while it was watched" in told
    assert "printed its last line" in told
