"""Request counts: buckets, sums, quantiles, and how they are read from the counts of an access log."""

from __future__ import annotations

import math
from itertools import pairwise

from deploy.core.analysis.access_log import Origin, parse_counts
from deploy.core.analysis.samples import BOUNDS, ReleaseStats, RequestStats


def test_buckets_are_at_most_an_eighth_wide_and_separate_single_milliseconds() -> None:
    assert BOUNDS[:8] == (0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008)
    pairs = list(pairwise(BOUNDS))
    assert all(low < high for low, high in pairs)
    assert all(high / low < 1.14 for low, high in pairs if low >= 0.016)
    assert BOUNDS[-1] == 60.0


def test_stats_answer_for_error_shares_quantiles_and_slow_requests() -> None:
    stats = RequestStats.from_requests([(0.005, False), (0.005, False), (0.1, True), (99.0, False)])
    assert (stats.requests, stats.errors, stats.error_share) == (4, 1, 0.25)
    assert 0.004 < stats.quantile_s(0.5) <= 0.005
    assert stats.quantile_s(1.0) == 60.0
    assert stats.slower_than(0.005) == 2
    assert stats.slower_than(60.0) == 1
    assert (stats + stats).requests == 8
    assert math.isnan(RequestStats().quantile_s(0.5))
    assert RequestStats().error_share == 0.0


def test_stats_of_a_release_are_added_replica_by_replica() -> None:
    one = RequestStats.from_requests([(0.01, False)])
    two = RequestStats.from_requests([(0.01, True)])
    both = ReleaseStats({"a": one, None: two}) + ReleaseStats({"a": two, "b": two})
    assert {name: (t.requests, t.errors) for name, t in both.replicas.items()} == {
        "a": (2, 1),
        "b": (1, 1),
        None: (1, 1),
    }
    assert both.total.errors == 3


def test_counts_of_an_access_log_are_parsed_and_other_lines_skipped() -> None:
    text = (
        "users app_r000002_abc 10.213.0.129:8080 200 12 30\n"
        "users app_r000002_abc 10.213.0.129:8080 502 1000 2\n"
        "users app_r000002_abc 10.213.0.130:8080 404 3 1\n"
        "synthetic app_r000001_abc - 200 12 5\n"
        "users app_r000002_abc 10.213.0.130:8080 200 nan 1\n"
        "nobody app_r000002_abc 10.213.0.130:8080 200 12 1\n"
        "something else\n"
        "\n"
    )
    found = parse_counts(text)
    assert set(found) == {
        (Origin.USERS, "app_r000002_abc"),
        (Origin.SYNTHETIC, "app_r000001_abc"),
    }
    users = found[Origin.USERS, "app_r000002_abc"]
    assert {name: (t.requests, t.errors) for name, t in users.replicas.items()} == {
        "10.213.0.129:8080": (32, 2),
        "10.213.0.130:8080": (1, 0),
    }
    assert users.total.slower_than(0.5) == 2
