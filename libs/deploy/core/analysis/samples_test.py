"""Counts of requests: what an edge's log is boiled down to, and what can be asked of it."""

from __future__ import annotations

import math
from itertools import pairwise

from deploy.core.analysis.access_log import parse_counts
from deploy.core.analysis.samples import BOUNDS, ReleaseStats, RequestStats, tally


def test_the_buckets_grow_by_an_eighth_at_most_and_keep_milliseconds_apart() -> None:
    assert BOUNDS[:8] == (0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008)
    pairs = list(pairwise(BOUNDS))
    assert all(low < high for low, high in pairs)
    assert all(high / low < 1.14 for low, high in pairs if low >= 0.016)
    assert BOUNDS[-1] == 60.0


def test_a_tally_knows_shares_quantiles_and_what_is_slower() -> None:
    told = tally([(0.005, False), (0.005, False), (0.1, True), (99.0, False)])
    assert (told.requests, told.errors, told.error_share) == (4, 1, 0.25)
    assert 0.004 < told.slowest(0.5) <= 0.005
    assert told.slowest(1.0) == 60.0
    assert told.above(0.005) == 2
    assert told.above(60.0) == 1
    assert (told + told).requests == 8
    assert math.isnan(RequestStats().slowest(0.5))
    assert RequestStats().error_share == 0.0


def test_sides_are_added_replica_by_replica() -> None:
    one, two = tally([(0.01, False)]), tally([(0.01, True)])
    both = ReleaseStats({"a": one}) + ReleaseStats({"a": two, "b": two})
    assert {name: (t.requests, t.errors) for name, t in both.replicas.items()} == {
        "a": (2, 1),
        "b": (1, 1),
    }
    assert both.all.errors == 2


def test_counts_are_read_and_what_is_none_is_passed_over() -> None:
    text = (
        "users app_r000002_abc 10.213.0.129:8080 200 12 30\n"
        "users app_r000002_abc 10.213.0.129:8080 502 1000 2\n"
        "users app_r000002_abc 10.213.0.130:8080 404 3 1\n"
        "synthetic app_r000001_abc - 200 12 5\n"
        "users app_r000002_abc 10.213.0.130:8080 200 nan 1\n"
        "something else\n"
        "\n"
    )
    found = parse_counts(text)
    assert set(found) == {("users", "app_r000002_abc"), ("synthetic", "app_r000001_abc")}
    users = found["users", "app_r000002_abc"]
    assert {name: (t.requests, t.errors) for name, t in users.replicas.items()} == {
        "10.213.0.129:8080": (32, 2),
        "10.213.0.130:8080": (1, 0),
    }
    assert users.all.above(0.5) == 2
