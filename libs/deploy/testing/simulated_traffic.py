"""Simulates requests to two releases from a seed, to measure how often the analysis is right."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from deploy.core.analysis.samples import ReleaseStats, RequestStats
from deploy.core.analysis.verdict import Evidence, Outcome, Verdict, evaluate
from deploy.core.config import Gate


@dataclass(frozen=True)
class Behaviour:
    """How a release answers: log-normal latency with this median, replicas that differ by a share, failures."""

    median_s: float = 0.015
    sigma: float = 0.5
    added_s: float = 0.0
    errors: float = 0.0
    differ: float = 0.2
    replicas: int = 5
    sick_replica_errors: float = 0.0
    slow_share: float = 0.0
    slow_s: float = 0.0


class SimulatedRelease:
    """Replicas with different speeds that stay the same in all attempts."""

    def __init__(self, behaviour: Behaviour, chance: random.Random) -> None:
        self._behaviour = behaviour
        self._chance = chance
        half = behaviour.differ / 2
        self._speeds = [chance.uniform(1 - half, 1 + half) for _ in range(behaviour.replicas)]
        self._total = ReleaseStats()

    def after(self, more: int) -> ReleaseStats:
        """Returns all requests so far, after this many more."""
        counts = [more // len(self._speeds)] * len(self._speeds)
        for number in range(more % len(self._speeds)):
            counts[number] += 1
        self._total += ReleaseStats(
            {f"replica-{number}": self._answers(number, n) for number, n in enumerate(counts)}
        )
        return self._total

    def _answers(self, replica: int, count: int) -> RequestStats:
        behaviour, chance = self._behaviour, self._chance
        errors = (
            behaviour.sick_replica_errors
            if replica == 0 and behaviour.sick_replica_errors
            else behaviour.errors
        )

        def one() -> tuple[float, bool]:
            seconds = (
                behaviour.median_s
                * self._speeds[replica]
                * chance.lognormvariate(0, behaviour.sigma)
            )
            seconds += behaviour.added_s
            if chance.random() < behaviour.slow_share:
                seconds += behaviour.slow_s
            return seconds, chance.random() < errors

        return RequestStats.from_requests(one() for _ in range(count))


def simulate(
    old: Behaviour,
    new: Behaviour,
    gate: Gate,
    each_attempt: int,
    seed: int,
    *,
    max_error_share: float = 0.02,
) -> Verdict:
    """Returns the verdict on one simulated rollout: of the first conclusive attempt, or of the last one."""
    chance = random.Random(seed)  # noqa: S311 - a simulation is repeatable
    old_release, new_release = SimulatedRelease(old, chance), SimulatedRelease(new, chance)
    verdict = Verdict(())
    for attempt in range(1, gate.looks + 1):
        evidence = Evidence(new_release.after(each_attempt), old_release.after(each_attempt))
        verdict = evaluate(evidence, gate, max_error_share, attempt)
        if verdict.outcome is not Outcome.INCONCLUSIVE:
            break
    return verdict


def rates(run: Callable[[int], Verdict], rollouts: int) -> dict[str, float]:
    """Returns the share of each outcome over this many seeds."""
    counts = dict.fromkeys(Outcome, 0)
    for seed in range(rollouts):
        counts[run(seed).outcome] += 1
    return {outcome: count / rollouts for outcome, count in counts.items()}
