"""Judges a release against the one before it, from counts: pass, fail or inconclusive; never fetches a figure.

Every rule is a test of significance together with the size of an effect: with enough requests anything is
significant, and with few anything is large. What can't be known is inconclusive and never a pass.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

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
from deploy.core.config import Gate

Outcome = Literal["pass", "fail", "inconclusive"]
GOOD: Outcome = "pass"
FAIL: Outcome = "fail"
INCONCLUSIVE: Outcome = "inconclusive"

# One failed answer of three is no proof of anything, whatever the bound says.
GROSS_ERRORS = 5
# Cliff's delta: 0.147 is called small, 0.33 medium (Romano et al., 2006).
SHIFTED, SHIFTED_FROM_WORST = 0.33, 0.147
# Further errors, or slow answers, as a share of all: less is nobody's rollback.
MORE_ERRORS, MORE_SLOW = 0.005, 0.05
# A p value between the level of the test and this is a reason to look again.
SUSPICIOUS = 0.05


@dataclass(frozen=True)
class Finding:
    """What one rule says, in words and in the figures that it looked at."""

    rule: str
    outcome: Outcome
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on. `old` None: there is no release to compare with. `readings`: the service's own rules.

    `basis` says whose requests they are: the users' or synthetic ones; `all_new` are all that the new release got,
    for the rule that needs no comparison.
    """

    new: ReleaseStats
    old: ReleaseStats | None
    basis: str = "users"
    all_new: ReleaseStats | None = None
    readings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """All findings of one look, and what they come to."""

    findings: tuple[Finding, ...]
    look: int = 1
    basis: str = ""

    @property
    def outcome(self) -> Outcome:
        """One rule that fails is enough; all must pass, and there must be some."""
        outcomes = {finding.outcome for finding in self.findings}
        if FAIL in outcomes:
            return FAIL
        return GOOD if outcomes == {GOOD} else INCONCLUSIVE

    @property
    def deciding(self) -> tuple[Finding, ...]:
        """The findings that made the outcome what it is."""
        return tuple(each for each in self.findings if each.outcome == self.outcome)

    @property
    def why(self) -> str:
        """The outcome's cause in one line."""
        return "; ".join(f"{each.rule}: {each.text}" for each in self.deciding)

    def lines(self) -> tuple[str, ...]:
        """Every finding as a line for people."""
        heading = f"look {self.look}, by {self.basis or 'no'} requests: {self.outcome}"
        return (heading, *(f"  {each.rule}: {each.outcome}, {each.text}" for each in self.findings))

    @property
    def only_slower(self) -> bool:
        """True if all that fails is how long answers take."""
        failed = {each.rule for each in self.findings if each.outcome == FAIL}
        return bool(failed) and failed <= {"latency", "tail"}


def dump_verdict(verdict: Verdict, stage: str) -> str:
    """Writes a verdict as one line of JSON, for the ledger."""
    told = {"stage": stage, "outcome": verdict.outcome, **asdict(verdict)}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def parse_verdict(text: str) -> tuple[str, Verdict]:
    """Reads (stage, verdict) back. Raises ValueError for what is none."""
    try:
        told = json.loads(text)
        findings = tuple(Finding(**each) for each in told["findings"])
        return str(told["stage"]), Verdict(findings, int(told["look"]), str(told["basis"]))
    except (TypeError, KeyError) as error:
        raise ValueError(f"no verdict: {error}") from error


Conduct = Literal["go on", "look again", "refuse", "hold"]


def conduct(verdict: Verdict, gate: Gate, *, before_switch: bool) -> Conduct:
    """Returns what follows from a verdict: unclear ones are looked at again, then the service's policy decides.

    Only a candidate can be held: once users have met a release, a refused one is taken back.
    """
    if verdict.outcome == GOOD:
        return "go on"
    if verdict.outcome == INCONCLUSIVE and verdict.look < gate.looks:
        return "look again"
    policy = gate.on_unclear if verdict.outcome == INCONCLUSIVE else "rollback"
    if verdict.only_slower:
        policy = gate.on_slower
    if policy == "continue":
        return "go on"
    return "hold" if policy == "hold" and before_switch else "refuse"


def judge(evidence: Evidence, gate: Gate, max_error_share: float, look: int) -> Verdict:
    """Judges at look number `look` of `gate.looks`; the level of every test is divided by their number."""
    return Verdict(tuple(_findings(evidence, gate, max_error_share)), look, evidence.basis)


def _findings(evidence: Evidence, gate: Gate, max_error_share: float) -> Iterator[Finding]:
    level = gate.alpha / gate.looks
    new, old = evidence.new, evidence.old
    yield _data(new.all, old.all if old is not None else None, gate.min_requests)
    yield _gross(evidence.all_new or new, old, max_error_share, level)
    if old is not None:
        yield _errors(new.all, old, level)
        yield _latency(new.all, old, gate, level / 2)
        yield _tail(new.all, old, gate, level / 2)
    yield from evidence.readings


def _data(new: RequestStats, old: RequestStats | None, wanted: int) -> Finding:
    figures = {"new_requests": float(new.requests), "wanted": float(wanted)}
    told = f"{new.requests} requests to the new release"
    enough = new.requests >= wanted
    if old is not None:
        figures["old_requests"] = float(old.requests)
        told += f", {old.requests} to the old one"
        enough = enough and old.requests >= wanted
    outcome = GOOD if enough else INCONCLUSIVE
    return Finding("data", outcome, told if enough else f"{told}; {wanted} are needed", figures)


def _gross(new: ReleaseStats, old: ReleaseStats | None, most: float, level: float) -> Finding:
    """The hard stop: a share of errors that is surely above the service's own floor and the old release's."""
    _, old_high = wilson(old.all.errors, old.all.requests, level) if old else (0.0, 0.0)
    if old is not None and not old.all.requests:
        old_high = 0.0  # nothing is known of the old one, so it excuses nothing
    bar = max(most, old_high)
    looked_at = {"": new.all} | {name: each for name, each in new.replicas.items() if name}
    for name, each in looked_at.items():
        low, _ = wilson(each.errors, each.requests, level / (len(looked_at) if name else 1))
        if each.errors >= GROSS_ERRORS and low > bar:
            where = f" of {name}" if name else ""
            text = (
                f"{each.errors} of {each.requests} answers{where} failed ({each.error_share:.1%}), "
                f"surely more than {low:.1%}; {bar:.1%} is the most allowed"
            )
            return Finding("gross errors", FAIL, text, {"bound": low, "allowed": bar})
    low, _ = wilson(new.all.errors, new.all.requests, level)
    text = f"{new.all.errors} of {new.all.requests} answers failed"
    return Finding("gross errors", GOOD, text, {"bound": low, "allowed": bar})


def _errors(new: RequestStats, old: ReleaseStats, level: float) -> Finding:
    """Fisher's exact test; replicas of the old release that differ among themselves make every count count less."""
    both = old.all
    over = _dispersion([(each.errors, each.requests) for each in old.replicas.values()])
    p = _fisher(new.errors, new.requests, both.errors, both.requests, over)
    more = new.error_share - both.error_share
    figures = {"p": p, "level": level, "new": new.error_share, "old": both.error_share}
    text = (
        f"{new.errors} of {new.requests} ({new.error_share:.2%}) against "
        f"{both.errors} of {both.requests} ({both.error_share:.2%}), p {_short(p)}"
    )
    return Finding("errors", _outcome(p, level, large=more >= MORE_ERRORS), text, figures)


def _latency(new: RequestStats, old: ReleaseStats, gate: Gate, level: float) -> Finding:
    """Mann-Whitney with three guards: the effect's size, the median's way, and the slowest replica of the old."""
    both = old.all
    if not new.requests or not both.requests:
        return Finding("latency", INCONCLUSIVE, "there is nothing to compare")
    shift = mann_whitney_more(new.buckets, both.buckets)
    worst = max(
        (each for each in old.replicas.values() if each.requests >= both.requests / 50),
        key=lambda each: each.slowest(0.5),
        default=both,
    )
    from_worst = mann_whitney_more(new.buckets, worst.buckets).delta
    was, now = both.slowest(0.5), new.slowest(0.5)
    bar = max(gate.slower_s, gate.slower_share * was)
    large = shift.delta >= SHIFTED and from_worst >= SHIFTED_FROM_WORST and now - was >= bar
    figures = {
        "p": shift.p,
        "level": level,
        "delta": shift.delta,
        "delta_from_worst": from_worst,
        "new": now,
        "old": was,
        "bar": bar,
    }
    text = (
        f"median {_ms(now)} against {_ms(was)}, delta {shift.delta:+.2f} "
        f"({from_worst:+.2f} from its slowest replica), p {_short(shift.p)}"
    )
    return Finding("latency", _outcome(shift.p, level, large=large), text, figures)


def _tail(new: RequestStats, old: ReleaseStats, gate: Gate, level: float) -> Finding:
    """Fisher's exact test on how many answers are slower than all but one in twenty of the old release's."""
    both = old.all
    if not new.requests or not both.requests:
        return Finding("tail", INCONCLUSIVE, "there is nothing to compare")
    slowest = both.slowest(0.95)
    wanted = slowest + max(gate.slower_s, gate.slower_share * slowest)
    bar = next((bound for bound in BOUNDS if bound >= wanted), BOUNDS[-1])
    over = _dispersion([(each.above(bar), each.requests) for each in old.replicas.values()])
    slow, was_slow = new.above(bar), both.above(bar)
    p = _fisher(slow, new.requests, was_slow, both.requests, over)
    share, was = slow / new.requests, was_slow / both.requests
    figures = {"p": p, "level": level, "new": share, "old": was, "bar": bar}
    text = f"{share:.1%} slower than {_ms(bar)} against {was:.1%}, p {_short(p)}"
    return Finding("tail", _outcome(p, level, large=share - was >= MORE_SLOW), text, figures)


def _outcome(p: float, level: float, *, large: bool) -> Outcome:
    if p <= level and large:
        return FAIL
    return INCONCLUSIVE if p <= SUSPICIOUS and large else GOOD


def _fisher(new: int, new_total: int, old: int, old_total: int, over: float) -> float:
    counts = (round(each / over) for each in (new, new_total, old, old_total))
    return fisher_more(*counts)


def _dispersion(counts: list[tuple[int, int]]) -> float:
    """How much more replicas of one release differ than chance lets them, at least 1 (Rao and Scott, 1992).

    Fewer than five hits a replica, the usual floor of a chi-squared figure, tell nothing about that.
    """
    known = [(hits, total) for hits, total in counts if total]
    hits, total = sum(each[0] for each in known), sum(each[1] for each in known)
    if len(known) < 2 or hits == total or hits < 5 * len(known):
        return 1.0
    share = hits / total
    squares = sum((h - n * share) ** 2 / (n * share * (1 - share)) for h, n in known)
    return max(1.0, squares / (len(known) - 1))


def _ms(seconds: float) -> str:
    return "?" if math.isnan(seconds) else f"{seconds * 1000:.0f} ms"


def _short(p: float) -> str:
    return f"{p:.1e}" if p < 0.001 else f"{p:.3f}"
