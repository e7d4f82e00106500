"""Watching a release after its switch, on simulated hosts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from deploy.core.analysis.access_log import SYNTHETIC_PREFIX, VERIFICATION_ID
from deploy.core.commands import locks
from deploy.core.config import Rollout
from deploy.core.state.ledger import parse_ledger
from deploy.run.rollout.deploy import (
    Result,
    RevertedError,
    deploy,
)
from deploy.run.rollout.events import Event, Message
from deploy.run.rollout.rollout_fixture import ONE, TWO, context, deploy_command
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.simulated_host import BROKEN, Visits


def go(fleet: Fleet, label: str, events: list[Event]) -> Result:
    command = deploy_command(fleet, label)
    for host in fleet.hosts:
        host.engine.behaviours.setdefault(command.image, ContainerBehaviour(fails_at=BROKEN))
    return deploy(command, context(fleet), events.append)


def messages(events: list[Event]) -> list[str]:
    """Returns what the deploy reported, without seconds: hosts that are watched at once share a clock."""
    texts = (event.text for event in events if isinstance(event, Message))
    return [re.sub(r" in \d s", "", text) for text in texts]


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet.of("host-1", "host-2")
    go(fleet, "one", [])
    fleet.must_serve.update(("host-1", "host-2"))
    return fleet


def reverted(fleet: Fleet, label: str = "two") -> str:
    with pytest.raises(RevertedError) as error:
        go(fleet, label, [])
    assert fleet.violations == []
    assert fleet.served() == [ONE, ONE]
    assert error.value.exit_code == 1
    entries = parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
    assert [e.outcome for e in entries if e.event == "ended"] == ["live", "reverted"]
    return error.value.message


def test_a_release_that_answers_well_stays_live_and_its_counts_are_reported(fleet: Fleet) -> None:
    events: list[Event] = []
    fleet["host-1"].visits = (Visits(50),)
    fleet["host-2"].visits = (Visits(200, broken=4),)  # 2 %, which is allowed
    assert go(fleet, "two", events).outcome == "live"
    assert "host-1: 0 of 50 requests failed (limit 2.0 %)" in messages(events)
    assert "host-2: 4 of 200 requests failed (limit 2.0 %)" in messages(events)


def test_a_release_that_fails_users_on_one_host_is_reverted_on_all(fleet: Fleet) -> None:
    fleet["host-2"].visits = (Visits(200, broken=5),)
    message = reverted(fleet)
    assert f"{TWO} failed: host-2: 5 of 200 requests failed in " in message
    assert "\n  log: app-r000002-1 printed its last line" in message


def test_a_single_failed_request_does_not_fail_the_watch(fleet: Fleet) -> None:
    fleet["host-1"].visits = (Visits(3, broken=1),)
    assert go(fleet, "two", []).outcome == "live"
    fleet["host-1"].visits = (Visits(3, broken=2),)
    with pytest.raises(RevertedError):
        go(fleet, "three", [])
    assert fleet.served() == [TWO, TWO]


def test_a_release_without_user_requests_stays_live_and_the_log_says_so(fleet: Fleet) -> None:
    events: list[Event] = []
    assert go(fleet, "two", events).outcome == "live"
    assert fleet.served() == [TWO, TWO]
    assert "host-2: no user requests" in messages(events)


OURS = pytest.mark.parametrize(
    "request_id",
    [VERIFICATION_ID, f"{SYNTHETIC_PREFIX}19a-00000001"],
    ids=["verification", "synthetic"],
)


@OURS
@pytest.mark.parametrize("broken", [0, 1000], ids=["succeed", "fail"])
def test_verification_and_synthetic_requests_do_not_change_the_counts(
    fleet: Fleet, request_id: str, broken: int
) -> None:
    events: list[Event] = []
    ours = Visits(1000, broken, request_id)
    fleet["host-1"].visits = (ours, Visits(100, broken=1))
    fleet["host-2"].visits = (ours,)
    assert go(fleet, "two", events).outcome == "live"
    assert "host-1: 1 of 100 requests failed (limit 2.0 %)" in messages(events)
    assert "host-2: no user requests" in messages(events)


@OURS
def test_successful_verification_and_synthetic_requests_do_not_hide_failed_users(
    fleet: Fleet, request_id: str
) -> None:
    fleet["host-1"].visits = (Visits(5000, request_id=request_id), Visits(100, broken=3))
    assert "3 of 100 requests failed" in reverted(fleet)


def test_a_replica_that_ends_after_its_health_check_reverts_the_release(fleet: Fleet) -> None:
    fleet.watched = False  # a dead replica behind an edge is the point of this test
    image = factories.image("two")
    fleet["host-2"].engine.behaviours[image] = ContainerBehaviour(dies_after_s=4.0)
    message = reverted(fleet)
    assert "ended while it was watched" in message
    assert "printed its last line" in message


def test_a_replica_that_stays_unready_while_it_is_watched_reverts_the_release(fleet: Fleet) -> None:
    events: list[Event] = []
    command = deploy_command(fleet, "two")
    watched = replace(command.service, rollout=Rollout(watch_s=5))
    fleet["host-2"].engine.behaviours[command.image] = ContainerBehaviour(unready_after_s=4.0)
    with pytest.raises(RevertedError) as error:
        deploy(replace(command, service=watched), context(fleet), events.append)
    assert "is no longer ready: /readyz answers 503" in error.value.message
    assert fleet.served() == [ONE, ONE]
