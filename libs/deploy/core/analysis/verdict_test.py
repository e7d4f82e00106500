"""The verdict on a release: each rule at its limits, what follows from it, and how it is stored and shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deploy.core.analysis.access_log import Origin
from deploy.core.analysis.samples import ReleaseStats, RequestStats
from deploy.core.analysis.stage import Stage
from deploy.core.analysis.verdict import (
    Conclusion,
    Decision,
    Evidence,
    RuleResult,
    Verdict,
    decide,
    dump_verdict,
    evaluate,
    parse_verdict,
)
from deploy.core.config import Gate

GATE = Gate()
FLOOR = 0.02
STORED = (
    '{"basis":"users","findings":[{"figures":{"bound":0.97,"allowed":0.02},"outcome":"fail",'
    '"rule":"gross errors","text":"300 of 300 requests failed (limit 2.0 %)"}],'
    '"look":2,"outcome":"fail","stage":"trial"}'
)
"""A line of a ledger: its keys and values must stay readable."""


def stats(
    requests: int = 300, errors: int = 0, *, seconds: float = 0.02, replicas: int = 3
) -> ReleaseStats:
    """Requests shared among replicas. Every tenth takes half as long again, and the last ones fail."""
    rows = [
        (seconds * (1.5 if n % 10 == 0 else 1), n >= requests - errors) for n in range(requests)
    ]
    return ReleaseStats(
        {
            f"r{number}": RequestStats.from_requests(rows[number::replicas])
            for number in range(replicas)
        }
    )


def evaluated(
    new: ReleaseStats, old: ReleaseStats | None, *checks: RuleResult, gate: Gate = GATE
) -> Verdict:
    return evaluate(Evidence(new, old, checks=checks), gate, FLOOR, 1)


def outcomes(verdict: Verdict) -> dict[str, Conclusion]:
    return {result.rule: result.outcome for result in verdict.results}


def test_equal_releases_pass_every_rule() -> None:
    verdict = evaluated(stats(), stats())
    assert verdict.outcome is Conclusion.PASS
    assert outcomes(verdict) == dict.fromkeys(
        ("data", "gross errors", "errors", "latency", "tail"), Conclusion.PASS
    )


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (ReleaseStats(), ReleaseStats()),
        (ReleaseStats(), stats()),
        (stats(), ReleaseStats()),
        (stats(299), stats()),
        (stats(), stats(299)),
        (ReleaseStats(), None),
        (stats(1), None),
    ],
)
def test_too_few_requests_are_inconclusive(new: ReleaseStats, old: ReleaseStats | None) -> None:
    verdict = evaluated(new, old)
    assert verdict.outcome is Conclusion.INCONCLUSIVE
    assert "(300 needed)" in verdict.why or "nothing to compare" in verdict.why


def test_a_verdict_without_rules_is_inconclusive() -> None:
    assert Verdict(()).outcome is Conclusion.INCONCLUSIVE


def test_a_first_release_is_only_compared_with_the_error_limit() -> None:
    verdict = evaluated(stats(), None)
    assert outcomes(verdict) == {"data": Conclusion.PASS, "gross errors": Conclusion.PASS}
    bad = evaluated(stats(errors=30), None)
    assert bad.outcome is Conclusion.FAIL
    assert bad.why == "30 of 300 requests failed (limit 2.0 %)"


def test_gross_errors_fail_before_there_are_enough_requests() -> None:
    verdict = evaluated(stats(20, 10), stats())
    assert (verdict.outcome, verdict.deciding[0].rule) == (Conclusion.FAIL, "gross errors")


def test_four_errors_are_no_gross_errors_whatever_their_share() -> None:
    assert outcomes(evaluated(stats(4, 4), None))["gross errors"] is Conclusion.PASS
    assert outcomes(evaluated(stats(5, 5), None))["gross errors"] is Conclusion.FAIL


def test_gross_errors_of_one_replica_fail_the_release() -> None:
    healthy = RequestStats.from_requests([(0.02, False)] * 200)
    broken = RequestStats.from_requests([(0.02, n < 20) for n in range(200)])
    new = ReleaseStats({**{f"r{number}": healthy for number in range(9)}, "broken": broken})
    verdict = evaluated(new, stats(2000))
    assert verdict.outcome is Conclusion.FAIL
    assert "20 of 200 requests to broken failed (limit " in verdict.why


def test_errors_that_the_old_release_has_too_do_not_fail_the_new_one() -> None:
    assert evaluated(stats(1000, 50), stats(1000, 50)).outcome is Conclusion.PASS


def test_more_errors_than_the_old_release_fail() -> None:
    verdict = evaluated(stats(errors=15), stats())
    assert verdict.outcome is Conclusion.FAIL
    assert outcomes(verdict)["errors"] is Conclusion.FAIL
    assert not verdict.only_slower
    results = {result.rule: result for result in verdict.results}
    assert results["errors"].sentence == (
        "15 of 300 requests failed (5.00 %), was 0 of 300 (0.00 %)"
    )


def test_errors_that_may_be_chance_are_inconclusive() -> None:
    assert outcomes(evaluated(stats(errors=6), stats()))["errors"] is Conclusion.INCONCLUSIVE
    assert outcomes(evaluated(stats(errors=3), stats()))["errors"] is Conclusion.PASS


def test_a_tiny_difference_passes_however_significant() -> None:
    verdict = evaluated(stats(400_000, 4000), stats(400_000, 3000))
    (errors,) = (result for result in verdict.results if result.rule == "errors")
    assert errors.figures["p"] < 1e-9
    assert errors.outcome is Conclusion.PASS


def test_errors_weigh_less_if_the_old_replicas_differ_among_themselves() -> None:
    def uneven(errors: tuple[int, ...]) -> ReleaseStats:
        return ReleaseStats(
            {
                f"r{number}": RequestStats.from_requests([(0.02, n < count) for n in range(1000)])
                for number, count in enumerate(errors)
            }
        )

    old_even, old_uneven = uneven((20, 20, 20)), uneven((0, 0, 60))
    new = uneven((30, 30, 38))
    assert outcomes(evaluated(new, old_even))["errors"] is Conclusion.FAIL
    assert outcomes(evaluated(new, old_uneven))["errors"] is Conclusion.PASS


def test_sixty_milliseconds_slower_fails() -> None:
    verdict = evaluated(stats(seconds=0.08), stats(seconds=0.02))
    assert outcomes(verdict)["latency"] is Conclusion.FAIL
    assert verdict.only_slower
    assert "median 83 ms, was 19 ms" in verdict.why


def test_slower_by_less_than_the_policy_passes() -> None:
    slower, old = stats(seconds=0.035), stats(seconds=0.02)
    assert evaluated(slower, old).outcome is Conclusion.PASS
    assert evaluated(slower, old, gate=replace(GATE, slower_s=0.005)).outcome is Conclusion.FAIL


def test_as_slow_as_the_slowest_old_replica_passes() -> None:
    quick = stats(200, seconds=0.02, replicas=2).replicas
    slow = RequestStats.from_requests([(0.08, False)] * 100)
    old = ReleaseStats({**quick, "slow": slow})
    assert outcomes(evaluated(stats(seconds=0.08), old))["latency"] is Conclusion.PASS


def test_a_slow_tail_fails_though_the_median_is_unchanged() -> None:
    rows = [(0.6 if n % 8 == 0 else 0.02, False) for n in range(300)]
    verdict = evaluated(ReleaseStats({"r": RequestStats.from_requests(rows)}), stats())
    assert outcomes(verdict)["latency"] is Conclusion.PASS
    assert outcomes(verdict)["tail"] is Conclusion.FAIL
    assert verdict.only_slower
    assert "12.7 % of requests took more than " in verdict.why
    assert verdict.why.endswith(", was 0.0 %")


def test_a_faster_release_passes() -> None:
    assert evaluated(stats(seconds=0.01), stats(seconds=0.3)).outcome is Conclusion.PASS


def test_the_significance_level_is_divided_by_the_number_of_attempts() -> None:
    once = evaluated(stats(errors=7), stats(), gate=replace(GATE, looks=1, alpha=0.02))
    often = evaluated(stats(errors=7), stats(), gate=replace(GATE, looks=12, alpha=0.02))
    assert outcomes(once)["errors"] is Conclusion.FAIL
    assert outcomes(often)["errors"] is Conclusion.INCONCLUSIVE


@pytest.mark.parametrize("outcome", [Conclusion.FAIL, Conclusion.INCONCLUSIVE])
def test_a_services_own_condition_counts_like_any_rule(outcome: Conclusion) -> None:
    verdict = evaluated(stats(), stats(), RuleResult("queue", outcome, "9 jobs, at most 5"))
    assert verdict.outcome is outcome
    assert verdict.why == "queue: 9 jobs, at most 5"


def test_gross_errors_include_requests_that_are_not_compared() -> None:
    verdict = evaluate(Evidence(stats(), stats(), all_new=stats(200, 100)), GATE, FLOOR, 1)
    assert verdict.deciding[0].rule == "gross errors"


def test_requests_that_reached_no_replica_count_too() -> None:
    new = ReleaseStats({None: RequestStats(300, 300, stats(300).total.buckets)})
    verdict = evaluated(new, stats())
    assert verdict.outcome is Conclusion.FAIL
    assert verdict.why == "300 of 300 requests failed (limit 2.4 %)"


def with_outcome(rule: str, outcome: Conclusion, attempt: int) -> Verdict:
    return Verdict((RuleResult(rule, outcome, "made up"),), attempt)


PASS, FAIL, UNCLEAR = Conclusion.PASS, Conclusion.FAIL, Conclusion.INCONCLUSIVE
PROCEED, AGAIN, REVERT, HOLD = (
    Decision.PROCEED,
    Decision.TRY_AGAIN,
    Decision.REVERT,
    Decision.HOLD,
)


@pytest.mark.parametrize(
    ("verdict", "policy", "before", "after"),
    [
        (with_outcome("data", PASS, 1), {}, PROCEED, PROCEED),
        (with_outcome("data", UNCLEAR, 1), {}, AGAIN, AGAIN),
        (with_outcome("data", UNCLEAR, 2), {}, AGAIN, AGAIN),
        (with_outcome("data", UNCLEAR, 3), {}, REVERT, REVERT),
        (with_outcome("data", UNCLEAR, 3), {"on_unclear": "hold"}, HOLD, REVERT),
        (with_outcome("data", UNCLEAR, 3), {"on_unclear": "continue"}, PROCEED, PROCEED),
        (with_outcome("errors", FAIL, 1), {"on_unclear": "continue"}, REVERT, REVERT),
        (with_outcome("errors", FAIL, 1), {"on_slower": "continue"}, REVERT, REVERT),
        (with_outcome("latency", FAIL, 1), {}, REVERT, REVERT),
        (with_outcome("latency", FAIL, 1), {"on_slower": "hold"}, HOLD, REVERT),
        (with_outcome("tail", FAIL, 1), {"on_slower": "continue"}, PROCEED, PROCEED),
    ],
)
def test_the_policy_decides_what_follows_from_a_verdict(
    verdict: Verdict, policy: dict[str, str], before: Decision, after: Decision
) -> None:
    gate = replace(GATE, **policy)  # type: ignore[arg-type]
    assert decide(verdict, gate, before_switch=True) is before
    assert decide(verdict, gate, before_switch=False) is after


def test_a_verdict_is_shown_as_a_heading_and_one_line_per_rule() -> None:
    lines = evaluated(stats(), stats()).lines()
    assert lines == (
        "analysis attempt 1, users' requests: pass",
        "  pass: 300 requests to the new release, 300 to the old one",
        "  pass: 0 of 300 requests failed",
        "  pass: 0 of 300 requests failed (0.00 %), was 0 of 300 (0.00 %)",
        "  pass: median 19 ms, was 19 ms",
        "  pass: 0.0 % of requests took more than 55 ms, was 0.0 %",
    )


def test_the_statistics_of_a_verdict_have_lines_of_their_own() -> None:
    verdict = evaluated(stats(errors=15), stats())
    lines = verdict.statistics()
    assert lines[1] == "  statistics of errors: p 2.55e-05, level 0.00667"
    assert not any(" p " in line or "delta" in line for line in (*verdict.lines(), verdict.why))


def test_statistics_are_kept_as_figures_and_not_in_the_text() -> None:
    results = {each.rule: each for each in evaluated(stats(errors=15), stats()).results}
    assert set(results["errors"].figures) == {"p", "level", "new", "old"}
    assert set(results["latency"].figures) >= {"p", "delta", "delta_from_worst"}
    assert results["errors"].statistics == "p 2.55e-05, level 0.00667"
    assert results["data"].statistics == ""
    assert not any(" p " in each.text or "delta" in each.text for each in results.values())


def test_a_stored_verdict_is_read_and_written_unchanged() -> None:
    stage, verdict = parse_verdict(STORED)
    assert (stage, verdict.attempt, verdict.basis) == (Stage.PREVIEW, 2, Origin.USERS)
    assert verdict.outcome is Conclusion.FAIL
    assert json.loads(dump_verdict(verdict, stage)) == json.loads(STORED)
    empty = Verdict(())
    assert parse_verdict(dump_verdict(empty, Stage.USERS)) == (Stage.USERS, empty)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", STORED.replace("trial", "x"), STORED.replace('"fail"', '"x"')]
)
def test_text_that_is_no_verdict_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_verdict(text)
