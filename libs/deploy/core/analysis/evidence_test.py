"""Whose requests a verdict rests on, and how many synthetic requests are missing."""

from __future__ import annotations

from dataclasses import replace

from deploy.core.analysis.access_log import Origin, parse_counts
from deploy.core.analysis.evidence import FleetCounts, combine
from deploy.core.state.release import make_release
from deploy.testing.factories import (
    ORIGIN,
    image,
    service,
)

OLD = make_release(service(), image("a"), 1, "", ORIGIN, subnet="10.213.0.0/16")
NEW = make_release(service(), image("b"), 2, "", ORIGIN, subnet="10.213.0.0/16")
NEW_UP, OLD_UP = (f"app_{each.id.replace('-', '_')}" for each in (NEW, OLD))


def counts(
    *, new: int = 0, old: int = 0, new_synthetic: int = 0, old_synthetic: int = 0
) -> FleetCounts:
    text = (
        f"users {NEW_UP} {NEW.addresses[0]}:8080 200 9 {new}\n"
        f"users {OLD_UP} {OLD.addresses[1]}:8080 200 9 {old}\n"
        f"synthetic {NEW_UP} {NEW.addresses[0]}:8080 500 9 {new_synthetic}\n"
        f"synthetic {OLD_UP} {OLD.addresses[0]}:8080 200 9 {old_synthetic}\n"
    )
    return combine({"host-1": parse_counts(text)}, NEW, OLD)


def test_users_are_the_basis_if_both_releases_got_enough_of_their_requests() -> None:
    enough = counts(new=300, old=300, new_synthetic=5)
    assert (enough.basis(300), enough.missing(300)) == ("users", (0, 0))
    evidence = enough.evidence(300)
    assert (evidence.new.total.requests, evidence.basis) == (300, "users")
    assert evidence.all_new is not None
    assert evidence.all_new.total.requests == 305


def test_few_users_of_either_release_call_for_synthetic_requests_to_both() -> None:
    thin = counts(new=5000, old=10, new_synthetic=100, old_synthetic=300)
    assert (thin.basis(300), thin.missing(300)) == ("synthetic", (200, 0))
    evidence = thin.evidence(300)
    assert evidence.old is not None
    assert (evidence.new.total.requests, evidence.old.total.requests) == (100, 300)


def test_a_first_release_has_nothing_to_compare_with() -> None:
    alone = replace(counts(new=10, old=999), compared=False)
    assert alone.missing(300) == (300, 0)
    assert alone.evidence(300).old is None
    assert combine({}, NEW, None).missing(7) == (7, 0)


def test_hosts_are_summed_up_and_replicas_named() -> None:
    text = f"users {NEW_UP} {NEW.addresses[0]}:8080 200 9 4\nusers {NEW_UP} - 502 9 1\n"
    text += f"users {NEW_UP} 10.9.9.9:1 502 9 1\n"
    hosts = {"host-1": parse_counts(text), "host-2": parse_counts(text)}
    stats = combine(hosts, NEW, None).new[Origin.USERS]
    assert {name: t.requests for name, t in stats.replicas.items()} == {
        f"{NEW.names[0]} on host-1": 4,
        f"{NEW.names[0]} on host-2": 4,
        None: 4,
    }
