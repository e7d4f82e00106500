"""Whose requests a verdict rests on, and how many more it needs."""

from __future__ import annotations

from dataclasses import replace

from deploy.core.analysis.access_log import parse_counts
from deploy.core.analysis.evidence import Requests, requests_of
from deploy.core.state.release import make_release
from deploy.testing.factories import (
    ORIGIN,
    image,
    service,
)

OLD = make_release(service(), image("a"), 1, "", ORIGIN, subnet="10.213.0.0/16")
NEW = make_release(service(), image("b"), 2, "", ORIGIN, subnet="10.213.0.0/16")
NEW_UP, OLD_UP = (f"app_{each.id.replace('-', '_')}" for each in (NEW, OLD))


def requests(
    *, new: int = 0, old: int = 0, new_synthetic: int = 0, old_synthetic: int = 0
) -> Requests:
    text = (
        f"users {NEW_UP} {NEW.addresses[0]}:8080 200 9 {new}\n"
        f"users {OLD_UP} {OLD.addresses[1]}:8080 200 9 {old}\n"
        f"synthetic {NEW_UP} {NEW.addresses[0]}:8080 500 9 {new_synthetic}\n"
        f"synthetic {OLD_UP} {OLD.addresses[0]}:8080 200 9 {old_synthetic}\n"
    )
    return requests_of({"host-1": parse_counts(text)}, NEW, OLD)


def test_users_are_the_basis_where_they_are_enough_on_both_sides() -> None:
    enough = requests(new=300, old=300, new_synthetic=5)
    assert (enough.basis(300), enough.lacking(300)) == ("users", (0, 0))
    evidence = enough.evidence(300)
    assert (evidence.new.all.requests, evidence.basis) == (300, "users")
    assert evidence.all_new is not None
    assert evidence.all_new.all.requests == 305


def test_thin_traffic_on_either_side_asks_for_synthetic_requests_to_both() -> None:
    thin = requests(new=5000, old=10, new_synthetic=100, old_synthetic=300)
    assert (thin.basis(300), thin.lacking(300)) == ("synthetic", (200, 0))
    evidence = thin.evidence(300)
    assert evidence.old is not None
    assert (evidence.new.all.requests, evidence.old.all.requests) == (100, 300)


def test_a_first_release_is_compared_with_nothing() -> None:
    alone = replace(requests(new=10, old=999), compared=False)
    assert alone.lacking(300) == (300, 0)
    assert alone.evidence(300).old is None
    assert requests_of({}, NEW, None).lacking(7) == (7, 0)


def test_hosts_are_added_and_replicas_named() -> None:
    text = f"users {NEW_UP} {NEW.addresses[0]}:8080 200 9 4\nusers {NEW_UP} - 502 9 1\n"
    told = {"host-1": parse_counts(text), "host-2": parse_counts(text)}
    side = requests_of(told, NEW, None).new["users"]
    assert {name: t.requests for name, t in side.replicas.items()} == {
        f"{NEW.names[0]} on host-1": 4,
        f"{NEW.names[0]} on host-2": 4,
        "": 2,
    }
