"""What a release is judged to be, from counts: each rule at its edges, and nothing is ever passed unseen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.core.analysis.samples import (
    ReleaseStats,
    RequestStats,
    tally,
)
from deploy.core.analysis.verdict import (
    Evidence,
    Finding,
    Verdict,
    conduct,
    judge,
)
from deploy.core.config import Gate

GATE = Gate()
FLOOR = 0.02


def side(
    requests: int = 300, errors: int = 0, *, seconds: float = 0.02, replicas: int = 3
) -> ReleaseStats:
    """Requests shared among replicas, one in ten half as slow again; errors on the last ones."""
    each = [
        (seconds * (1.5 if n % 10 == 0 else 1), n >= requests - errors) for n in range(requests)
    ]
    return ReleaseStats({f"r{number}": tally(each[number::replicas]) for number in range(replicas)})


def verdict(
    new: ReleaseStats, old: ReleaseStats | None, *readings: Finding, gate: Gate = GATE
) -> Verdict:
    return judge(Evidence(new, old, readings=readings), gate, FLOOR, 1)


def outcomes(told: Verdict) -> dict[str, str]:
    return {finding.rule: finding.outcome for finding in told.findings}


def test_equal_sides_pass_every_rule() -> None:
    told = verdict(side(), side())
    assert told.outcome == "pass"
    assert outcomes(told) == dict.fromkeys(
        ("data", "gross errors", "errors", "latency", "tail"), "pass"
    )


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (ReleaseStats(), ReleaseStats()),
        (ReleaseStats(), side()),
        (side(), ReleaseStats()),
        (side(299), side()),
        (side(), side(299)),
        (ReleaseStats(), None),
        (side(1), None),
    ],
)
def test_too_little_data_is_inconclusive_and_never_a_pass(
    new: ReleaseStats, old: ReleaseStats | None
) -> None:
    told = verdict(new, old)
    assert told.outcome == "inconclusive"
    assert "300 are needed" in told.why or "nothing to compare" in told.why


def test_nothing_looked_at_is_inconclusive() -> None:
    assert Verdict(()).outcome == "inconclusive"


def test_a_first_release_is_held_against_the_floor_alone() -> None:
    told = verdict(side(), None)
    assert outcomes(told) == {"data": "pass", "gross errors": "pass"}
    bad = verdict(side(errors=30), None)
    assert bad.outcome == "fail"
    assert "30 of 300 answers failed (10.0%)" in bad.why


def test_gross_errors_stop_even_before_there_is_enough_data() -> None:
    told = verdict(side(20, 10), side())
    assert (told.outcome, told.deciding[0].rule) == ("fail", "gross errors")


def test_four_errors_are_no_proof_whatever_their_share() -> None:
    assert outcomes(verdict(side(4, 4), None))["gross errors"] == "pass"
    assert outcomes(verdict(side(5, 5), None))["gross errors"] == "fail"


def test_one_replica_that_fails_is_gross_though_all_together_are_not() -> None:
    most = {f"r{number}": tally([(0.02, False)] * 200) for number in range(9)}
    new = ReleaseStats({**most, "sick": tally([(0.02, n < 20) for n in range(200)])})
    told = verdict(new, side(2000))
    assert told.outcome == "fail"
    assert "of sick failed" in told.why


def test_errors_that_the_old_release_has_too_are_no_reason_to_refuse() -> None:
    assert verdict(side(1000, 50), side(1000, 50)).outcome == "pass"


def test_more_errors_than_the_old_release_fail() -> None:
    told = verdict(side(errors=15), side())
    assert told.outcome == "fail"
    assert outcomes(told)["errors"] == "fail"
    assert not told.only_slower
    assert "15 of 300 (5.00%) against 0 of 300 (0.00%)" in told.why


def test_errors_that_may_be_chance_ask_for_another_look() -> None:
    assert outcomes(verdict(side(errors=6), side()))["errors"] == "inconclusive"
    assert outcomes(verdict(side(errors=3), side()))["errors"] == "pass"


def test_a_tiny_difference_is_none_however_sure() -> None:
    told = verdict(side(400_000, 4000), side(400_000, 3000))
    (errors,) = (each for each in told.findings if each.rule == "errors")
    assert errors.figures["p"] < 1e-9
    assert errors.outcome == "pass"


def test_replicas_that_differ_by_themselves_make_errors_count_less() -> None:
    def uneven(shares: tuple[int, ...]) -> ReleaseStats:
        return ReleaseStats(
            {f"r{i}": tally([(0.02, n < e) for n in range(1000)]) for i, e in enumerate(shares)}
        )

    old_even, old_uneven = uneven((20, 20, 20)), uneven((0, 0, 60))
    new = uneven((30, 30, 38))
    assert outcomes(verdict(new, old_even))["errors"] == "fail"
    assert outcomes(verdict(new, old_uneven))["errors"] == "pass"


def test_slower_by_sixty_milliseconds_fails() -> None:
    told = verdict(side(seconds=0.08), side(seconds=0.02))
    assert outcomes(told)["latency"] == "fail"
    assert told.only_slower
    assert "median 83 ms against 19 ms" in told.why


def test_slower_by_less_than_the_policy_says_passes() -> None:
    assert verdict(side(seconds=0.035), side(seconds=0.02)).outcome == "pass"
    strict = replace(GATE, slower_s=0.005)
    assert verdict(side(seconds=0.035), side(seconds=0.02), gate=strict).outcome == "fail"


def test_slower_than_all_but_not_than_the_slowest_replica_passes() -> None:
    quick, slow = side(200, seconds=0.02, replicas=2).replicas, tally([(0.08, False)] * 100)
    old = ReleaseStats({**quick, "slow": slow})
    assert outcomes(verdict(side(seconds=0.08), old))["latency"] == "pass"


def test_a_slow_tail_fails_though_the_median_stays() -> None:
    new = ReleaseStats({"r": tally([(0.6 if n % 8 == 0 else 0.02, False) for n in range(300)])})
    told = verdict(new, side())
    assert outcomes(told)["latency"] == "pass"
    assert outcomes(told)["tail"] == "fail"
    assert told.only_slower


def test_faster_is_fine() -> None:
    assert verdict(side(seconds=0.01), side(seconds=0.3)).outcome == "pass"


def test_the_level_is_divided_by_the_number_of_looks() -> None:
    once = verdict(side(errors=7), side(), gate=replace(GATE, looks=1, alpha=0.02))
    often = verdict(side(errors=7), side(), gate=replace(GATE, looks=12, alpha=0.02))
    assert (outcomes(once)["errors"], outcomes(often)["errors"]) == ("fail", "inconclusive")


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_a_services_own_condition_counts_like_any_rule(outcome: str) -> None:
    reading = Finding("queue", outcome, "9 jobs, at most 5")  # type: ignore[arg-type]
    told = verdict(side(), side(), reading)
    assert told.outcome == outcome
    assert told.why == "queue: 9 jobs, at most 5"


def test_all_that_the_new_release_got_is_held_against_the_floor() -> None:
    told = judge(Evidence(side(), side(), all_new=side(200, 100)), GATE, FLOOR, 1)
    assert told.deciding[0].rule == "gross errors"


def test_requests_that_no_replica_took_count_too() -> None:
    told = verdict(ReleaseStats({"": RequestStats(300, 300, side(300).all.buckets)}), side())
    assert told.outcome == "fail"


def with_outcome(rule: str, outcome: str, look: int) -> Verdict:
    return Verdict((Finding(rule, outcome, "made up"),), look)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "policy", "before", "after"),
    [
        (with_outcome("data", "pass", 1), {}, "go on", "go on"),
        (with_outcome("data", "inconclusive", 1), {}, "look again", "look again"),
        (with_outcome("data", "inconclusive", 2), {}, "look again", "look again"),
        (with_outcome("data", "inconclusive", 3), {}, "refuse", "refuse"),
        (with_outcome("data", "inconclusive", 3), {"on_unclear": "hold"}, "hold", "refuse"),
        (with_outcome("data", "inconclusive", 3), {"on_unclear": "continue"}, "go on", "go on"),
        (with_outcome("errors", "fail", 1), {"on_unclear": "continue"}, "refuse", "refuse"),
        (with_outcome("errors", "fail", 1), {"on_slower": "continue"}, "refuse", "refuse"),
        (with_outcome("latency", "fail", 1), {}, "refuse", "refuse"),
        (with_outcome("latency", "fail", 1), {"on_slower": "hold"}, "hold", "refuse"),
        (with_outcome("tail", "fail", 1), {"on_slower": "continue"}, "go on", "go on"),
    ],
)
def test_what_follows_from_a_verdict(
    told: Verdict, policy: dict[str, str], before: str, after: str
) -> None:
    gate = replace(GATE, **policy)  # type: ignore[arg-type]
    assert conduct(told, gate, before_switch=True) == before
    assert conduct(told, gate, before_switch=False) == after


def test_a_verdict_is_told_line_by_line() -> None:
    lines = verdict(side(), side()).lines()
    assert lines[0] == "look 1, by users requests: pass"
    assert lines[1] == "  data: pass, 300 requests to the new release, 300 to the old one"
