"""Simulates requests to two releases from a seed, to measure how often the release gate is right or wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from deploy.core.analysis.samples import ReleaseStats, RequestStats
from deploy.core.analysis.verdict import Conclusion, Evidence, Verdict, evaluate
from deploy.core.config import Gate


@dataclass(frozen=True)
class TrafficProfile:
    """How a release answers.

    Response times are log-normal. The speed of replicas varies by the share `replica_spread`. The first replica may
    fail more often than the others (`bad_replica_errors`), and a share of requests may be slower.
    """

    median_s: float = 0.015
    sigma: float = 0.5
    added_s: float = 0.0
    errors: float = 0.0
    replica_spread: float = 0.2
    replicas: int = 5
    bad_replica_errors: float = 0.0
    slow_share: float = 0.0
    slow_s: float = 0.0


class SimulatedRelease:
    """A release whose replicas each have a speed, the same in every attempt."""

    def __init__(self, profile: TrafficProfile, chance: random.Random) -> None:
        self._profile = profile
        self._chance = chance
        half = profile.replica_spread / 2
        self._speeds = [chance.uniform(1 - half, 1 + half) for _ in range(profile.replicas)]
        self._total = ReleaseStats()

    def after(self, more: int) -> ReleaseStats:
        """Answers `more` requests. Returns the statistics of all requests so far."""
        counts = [more // len(self._speeds)] * len(self._speeds)
        for number in range(more % len(self._speeds)):
            counts[number] += 1
        self._total += ReleaseStats(
            {f"replica-{number}": self._answers(number, n) for number, n in enumerate(counts)}
        )
        return self._total

    def _answers(self, replica: int, count: int) -> RequestStats:
        profile, chance = self._profile, self._chance
        errors = (
            profile.bad_replica_errors
            if replica == 0 and profile.bad_replica_errors
            else profile.errors
        )

        def one() -> tuple[float, bool]:
            seconds = (
                profile.median_s * self._speeds[replica] * chance.lognormvariate(0, profile.sigma)
            )
            seconds += profile.added_s
            if chance.random() < profile.slow_share:
                seconds += profile.slow_s
            return seconds, chance.random() < errors

        return RequestStats.from_requests(one() for _ in range(count))


def simulate(
    old: TrafficProfile,
    new: TrafficProfile,
    gate: Gate,
    each_attempt: int,
    seed: int,
    *,
    max_error_share: float = 0.02,
) -> Verdict:
    """Evaluates one simulated rollout, attempt by attempt, until the verdict is conclusive or no attempt is left."""
    chance = random.Random(seed)  # noqa: S311 - a simulation must be repeatable
    old_release, new_release = SimulatedRelease(old, chance), SimulatedRelease(new, chance)
    verdict = Verdict(())
    for attempt in range(1, gate.looks + 1):
        evidence = Evidence(new_release.after(each_attempt), old_release.after(each_attempt))
        verdict = evaluate(evidence, gate, max_error_share, attempt)
        if verdict.outcome is not Conclusion.INCONCLUSIVE:
            break
    return verdict


def rates(run: Callable[[int], Verdict], rollouts: int) -> dict[str, float]:
    """Returns the share of each outcome over `rollouts` seeds."""
    counts = dict.fromkeys(Conclusion, 0)
    for seed in range(rollouts):
        counts[run(seed).outcome] += 1
    return {outcome: count / rollouts for outcome, count in counts.items()}
