"""Evaluates a release against the one before it, from request counts: pass, fail or inconclusive.

Each rule needs both a significant difference and a large one: with enough requests every difference is significant,
and with few requests every difference is large. Missing data makes a rule inconclusive.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from deploy.core.analysis.access_log import Origin
from deploy.core.analysis.samples import (
    BOUNDS,
    ReleaseStats,
    RequestStats,
)
from deploy.core.analysis.significance import (
    fisher_more,
    mann_whitney_more,
    wilson,
)
from deploy.core.analysis.stage import Stage
from deploy.core.config import Gate
from deploy.core.state.json_record import from_json, to_json

# Fewer failed requests prove nothing, whatever their share.
GROSS_ERRORS = 5
# Cliff's delta: 0.147 is called small, 0.33 medium (Romano et al., 2006).
SHIFTED, SHIFTED_FROM_WORST = 0.33, 0.147
# How many more errors or slow requests, as a share of all, are worth a rollback.
MORE_ERRORS, MORE_SLOW = 0.005, 0.05
_STATISTICS = ("p", "level", "delta", "delta_from_worst", "bound")
_GROSS, _ERRORS = "gross errors", "errors"
# Rules whose text is a sentence without their name.
_PLAIN = frozenset({"data", _GROSS, _ERRORS, "latency", "tail", "watch"})
# A p value between the level of the test and this one calls for another attempt.
SUSPICIOUS = 0.05


class Conclusion(StrEnum):
    """What a rule, or all of them together, says about a release."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Decision(Enum):
    """What a rollout does after an analysis attempt."""

    PROCEED = "proceed"
    TRY_AGAIN = "try again"
    REVERT = "revert"
    HOLD = "hold"


@dataclass(frozen=True)
class RuleResult:
    """The outcome of one rule: in words, and the figures that it compared."""

    rule: str
    outcome: Conclusion
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What it found. A condition of the service is named, as its number alone says little."""
        return self.text if self.rule in _PLAIN else f"{self.rule}: {self.text}"

    @property
    def statistics(self) -> str:
        """The statistics among the figures in one line, such as `p 1.9e-43, delta 0.64`; "" if there are none."""
        found = {name: self.figures[name] for name in _STATISTICS if name in self.figures}
        return ", ".join(f"{name} {value:.3g}" for name, value in found.items())


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on.

    `old` is None for a first release. `basis` says whose requests `new` and `old` are; `all_new` are all requests to
    the new release, for the rule that needs no comparison. `checks` are the results of the service's own conditions.
    """

    new: ReleaseStats
    old: ReleaseStats | None
    basis: Origin = Origin.USERS
    all_new: ReleaseStats | None = None
    checks: tuple[RuleResult, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The results of all rules in one analysis attempt (counted from 1). `basis` is None if nothing was compared."""

    results: tuple[RuleResult, ...] = field(metadata={"key": "findings"})
    attempt: int = field(default=1, metadata={"key": "look"})
    basis: Origin | None = field(default=None, metadata={"none": ""})

    @property
    def outcome(self) -> Conclusion:
        """Fails if one rule fails, passes if there are rules and all pass, else is inconclusive."""
        outcomes = {result.outcome for result in self.results}
        if Conclusion.FAIL in outcomes:
            return Conclusion.FAIL
        return Conclusion.PASS if outcomes == {Conclusion.PASS} else Conclusion.INCONCLUSIVE

    @property
    def deciding(self) -> tuple[RuleResult, ...]:
        """The results that have the verdict's outcome."""
        return tuple(result for result in self.results if result.outcome is self.outcome)

    @property
    def why(self) -> str:
        """The reason for the outcome in one line. Gross errors say all that the comparison of errors could add."""
        rules = {result.rule for result in self.deciding}
        told = {_ERRORS} if _GROSS in rules else set()
        return "; ".join(each.sentence for each in self.deciding if each.rule not in told)

    def lines(self) -> tuple[str, ...]:
        """Returns the verdict for people: a heading and one line per rule, without `statistics`."""
        basis = {
            Origin.USERS: ", users' requests",
            Origin.SYNTHETIC: ", synthetic requests",
            None: "",
        }
        heading = f"analysis attempt {self.attempt}{basis[self.basis]}: {self.outcome}"
        return (
            heading,
            *(f"  {result.outcome}: {result.sentence}" for result in self.results),
        )

    def statistics(self) -> tuple[str, ...]:
        """Returns one line per rule that rests on statistics, for those who want to check it."""
        found = ((result.rule, result.statistics) for result in self.results)
        return tuple(f"  statistics of {rule}: {text}" for rule, text in found if text)

    @property
    def only_slower(self) -> bool:
        """Returns whether rules fail and all of those are about latency."""
        failed = {result.rule for result in self.results if result.outcome is Conclusion.FAIL}
        return bool(failed) and failed <= {"latency", "tail"}


def dump_verdict(verdict: Verdict, stage: Stage) -> str:
    """Writes a verdict as one line of JSON for the ledger."""
    document = {"stage": stage, "outcome": verdict.outcome, **to_json(verdict)}
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def parse_verdict(text: str) -> tuple[Stage, Verdict]:
    """Parses what `dump_verdict` wrote. Raises ValueError for anything else."""
    document = json.loads(text)
    verdict = from_json(Verdict, document)
    return Stage(document.get("stage")), verdict


def decide(verdict: Verdict, gate: Gate, *, before_switch: bool) -> Decision:
    """Returns what follows from a verdict: another attempt if it is inconclusive, then the service's policy.

    Only a candidate can be held; after the switch the release is reverted instead.
    """
    if verdict.outcome is Conclusion.PASS:
        return Decision.PROCEED
    if verdict.outcome is Conclusion.INCONCLUSIVE and verdict.attempt < gate.looks:
        return Decision.TRY_AGAIN
    policy = gate.on_unclear if verdict.outcome is Conclusion.INCONCLUSIVE else "rollback"
    if verdict.only_slower:
        policy = gate.on_slower
    if policy == "continue":
        return Decision.PROCEED
    return Decision.HOLD if policy == "hold" and before_switch else Decision.REVERT


def evaluate(evidence: Evidence, gate: Gate, max_error_share: float, attempt: int) -> Verdict:
    """Applies all rules. The significance level of each test is divided by `gate.looks`, the most attempts."""
    results = tuple(_results(evidence, gate, max_error_share))
    return Verdict(results, attempt, evidence.basis)


def percent(share: float, digits: int = 1) -> str:
    """Returns a share as text, such as `2.4 %`."""
    return f"{share * 100:.{digits}f} %"


def _results(evidence: Evidence, gate: Gate, max_error_share: float) -> Iterator[RuleResult]:
    level = gate.alpha / gate.looks
    new, old = evidence.new, evidence.old
    yield _data(new.total, old.total if old is not None else None, gate.min_requests)
    yield _gross(evidence.all_new or new, old, max_error_share, level)
    if old is not None:
        yield _errors(new.total, old, level)
        yield _latency(new.total, old, gate, level / 2)
        yield _tail(new.total, old, gate, level / 2)
    yield from evidence.checks


def _data(new: RequestStats, old: RequestStats | None, needed: int) -> RuleResult:
    figures = {"new_requests": float(new.requests), "wanted": float(needed)}
    text = f"{new.requests} requests to the new release"
    enough = new.requests >= needed
    if old is not None:
        figures["old_requests"] = float(old.requests)
        text += f", {old.requests} to the old one"
        enough = enough and old.requests >= needed
    if enough:
        return RuleResult("data", Conclusion.PASS, text, figures)
    return RuleResult("data", Conclusion.INCONCLUSIVE, f"{text} ({needed} needed)", figures)


def _gross(
    new: ReleaseStats, old: ReleaseStats | None, max_error_share: float, level: float
) -> RuleResult:
    """Fails if the error share of the release, or of one replica, is certainly above the limit.

    The limit is the service's `max_error_share`, or the old release's share if that is higher.
    """
    # An old release without requests doesn't raise the limit.
    known = old is not None and old.total.requests
    old_high = wilson(old.total.errors, old.total.requests, level)[1] if old and known else 0.0
    limit = max(max_error_share, old_high)
    checked = {None: new.total} | {name: stats for name, stats in new.replicas.items() if name}
    for name, stats in checked.items():
        low, _ = wilson(stats.errors, stats.requests, level / (len(checked) if name else 1))
        if stats.errors >= GROSS_ERRORS and low > limit:
            to = f" to {name}" if name else ""
            text = (
                f"{stats.errors} of {stats.requests} requests{to} failed (limit {percent(limit)})"
            )
            figures = {"bound": low, "allowed": limit}
            return RuleResult(_GROSS, Conclusion.FAIL, text, figures)
    low, _ = wilson(new.total.errors, new.total.requests, level)
    text = f"{new.total.errors} of {new.total.requests} requests failed"
    return RuleResult(_GROSS, Conclusion.PASS, text, {"bound": low, "allowed": limit})


def _errors(new: RequestStats, old: ReleaseStats, level: float) -> RuleResult:
    """Fisher's exact test on failed requests, with counts scaled down if the old replicas differ among themselves."""
    before = old.total
    dispersion = _dispersion([(stats.errors, stats.requests) for stats in old.replicas.values()])
    p = _fisher(new.errors, new.requests, before.errors, before.requests, dispersion)
    more = new.error_share - before.error_share
    figures = {"p": p, "level": level, "new": new.error_share, "old": before.error_share}
    text = (
        f"{new.errors} of {new.requests} requests failed ({percent(new.error_share, 2)}), "
        f"was {before.errors} of {before.requests} ({percent(before.error_share, 2)})"
    )
    return RuleResult(_ERRORS, _outcome(p, level, large=more >= MORE_ERRORS), text, figures)


def _latency(new: RequestStats, old: ReleaseStats, gate: Gate, level: float) -> RuleResult:
    """Mann-Whitney test that also needs a large effect, a higher median, and a shift from the slowest old replica."""
    before = old.total
    if not new.requests or not before.requests:
        return RuleResult("latency", Conclusion.INCONCLUSIVE, "there is nothing to compare")
    shift = mann_whitney_more(new.buckets, before.buckets)
    slowest = max(
        (stats for stats in old.replicas.values() if stats.requests >= before.requests / 50),
        key=lambda stats: stats.quantile_s(0.5),
        default=before,
    )
    from_slowest = mann_whitney_more(new.buckets, slowest.buckets).delta
    median_s, was_s = new.quantile_s(0.5), before.quantile_s(0.5)
    least_s = max(gate.slower_s, gate.slower_share * was_s)
    large = (
        shift.delta >= SHIFTED
        and from_slowest >= SHIFTED_FROM_WORST
        and median_s - was_s >= least_s
    )
    figures = {
        "p": shift.p,
        "level": level,
        "delta": shift.delta,
        "delta_from_worst": from_slowest,
        "new": median_s,
        "old": was_s,
        "bar": least_s,
    }
    text = f"median {_ms(median_s)}, was {_ms(was_s)}"
    return RuleResult("latency", _outcome(shift.p, level, large=large), text, figures)


def _tail(new: RequestStats, old: ReleaseStats, gate: Gate, level: float) -> RuleResult:
    """Fisher's exact test on requests that are slower than the old release's 95th percentile by a margin."""
    before = old.total
    if not new.requests or not before.requests:
        return RuleResult("tail", Conclusion.INCONCLUSIVE, "there is nothing to compare")
    p95_s = before.quantile_s(0.95)
    threshold_s = p95_s + max(gate.slower_s, gate.slower_share * p95_s)
    bound_s = next((bound for bound in BOUNDS if bound >= threshold_s), BOUNDS[-1])
    dispersion = _dispersion(
        [(stats.slower_than(bound_s), stats.requests) for stats in old.replicas.values()]
    )
    slow, was_slow = new.slower_than(bound_s), before.slower_than(bound_s)
    p = _fisher(slow, new.requests, was_slow, before.requests, dispersion)
    share, was = slow / new.requests, was_slow / before.requests
    figures = {"p": p, "level": level, "new": share, "old": was, "bar": bound_s}
    text = f"{percent(share)} of requests took more than {_ms(bound_s)}, was {percent(was)}"
    return RuleResult("tail", _outcome(p, level, large=share - was >= MORE_SLOW), text, figures)


def _outcome(p: float, level: float, *, large: bool) -> Conclusion:
    if p <= level and large:
        return Conclusion.FAIL
    return Conclusion.INCONCLUSIVE if p <= SUSPICIOUS and large else Conclusion.PASS


def _fisher(new: int, new_total: int, old: int, old_total: int, dispersion: float) -> float:
    counts = (round(count / dispersion) for count in (new, new_total, old, old_total))
    return fisher_more(*counts)


def _dispersion(counts: list[tuple[int, int]]) -> float:
    """Returns how much more the replicas of one release differ than chance explains, at least 1.

    Takes (hits, total) of each replica. Rao and Scott, 1992. With fewer than five hits per replica, the usual minimum
    for a chi-squared test, the answer is 1.
    """
    known = [(hits, total) for hits, total in counts if total]
    hits, total = sum(h for h, _ in known), sum(n for _, n in known)
    if len(known) < 2 or hits == total or hits < 5 * len(known):
        return 1.0
    share = hits / total
    squares = sum((h - n * share) ** 2 / (n * share * (1 - share)) for h, n in known)
    return max(1.0, squares / (len(known) - 1))


def _ms(seconds: float) -> str:
    return "?" if math.isnan(seconds) else f"{seconds * 1000:.0f} ms"
