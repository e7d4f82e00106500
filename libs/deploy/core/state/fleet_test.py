"""What was seen, asked for sequences, turns and replicas."""

from __future__ import annotations

from deploy.core.state.fleet import FleetState
from deploy.core.state.host import Container, HostState
from deploy.core.state.ledger import Entry
from deploy.core.state.release import ADDRESS_SLOTS, make_release
from deploy.testing import factories


def container(release: str, *, state: str = "running", health: str = "healthy") -> Container:
    return Container("0c1d", f"app-{release}-1", "app", release, "", state, health, "")


def entry(turn: int, sequence: int, *, event: str = "ended", outcome: str = "live") -> Entry:
    release = f"r{sequence:06d}-abc"
    return Entry(turn, "", "ada", "deploy", "app", release, sequence, event, outcome)


def test_ready_is_running_and_healthy_or_without_a_check() -> None:
    assert container("r000001-abc").ready
    assert container("r000001-abc", health="").ready
    assert not container("r000001-abc", health="starting").ready
    assert not container("r000001-abc", state="exited").ready


def test_a_sequence_is_never_given_twice_whatever_record_is_lost() -> None:
    assert FleetState(()).next_sequence() == 1
    ledger, running = (
        HostState("a", ledger=(entry(1, 4),)),
        HostState("b", containers=(container("r000007-abc"),)),
    )
    assert FleetState((ledger,)).next_sequence() == 5
    assert FleetState((ledger, running)).next_sequence() == 8
    written = make_release(
        factories.service(), "i", 11, factories.REPLICA, factories.ORIGIN, subnet="10.213.0.0/16"
    )
    assert FleetState((ledger, running, HostState("c", releases=(written,)))).next_sequence() == 12


def test_a_sequence_whose_addresses_are_taken_is_passed_over() -> None:
    old = HostState("a", ledger=(entry(1, ADDRESS_SLOTS),), containers=(container("r000001-abc"),))
    assert FleetState((old,)).next_sequence() == ADDRESS_SLOTS + 2


def test_a_turn_is_the_fleets() -> None:
    hosts = (
        HostState("a", ledger=(entry(3, 1),)),
        HostState("b", ledger=(entry(5, 1, event="begun"),)),
    )
    assert (FleetState(()).next_turn(), FleetState(hosts).next_turn()) == (1, 6)


def test_the_last_verified_is_of_the_latest_turn_on_any_host() -> None:
    behind = HostState("a", ledger=(entry(1, 1), entry(2, 2, outcome="reverted")))
    ahead = HostState("b", ledger=(entry(1, 1), entry(3, 3)))
    assert FleetState((behind,)).last_verified("app") == "r000001-abc"
    assert FleetState((behind, ahead)).last_verified("app") == "r000003-abc"
    assert FleetState((behind, ahead)).last_verified("other") == ""
