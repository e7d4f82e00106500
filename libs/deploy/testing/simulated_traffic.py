"""Simulated requests to a release, from a seed: how often a gate is wrong, and how often right; never a clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from deploy.core.analysis.samples import (
    ReleaseStats,
    RequestStats,
    tally,
)
from deploy.core.analysis.verdict import (
    INCONCLUSIVE,
    Evidence,
    Verdict,
    judge,
)
from deploy.core.config import Gate


@dataclass(frozen=True)
class Behaviour:
    """How a release answers: a log-normal time of this median, replicas that differ by a share, failures."""

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
    """Replicas with speeds of their own, which stay the same over all looks."""

    def __init__(self, behaviour: Behaviour, chance: random.Random) -> None:
        self._behaviour = behaviour
        self._chance = chance
        half = behaviour.differ / 2
        self._speeds = [chance.uniform(1 - half, 1 + half) for _ in range(behaviour.replicas)]
        self._total = ReleaseStats()

    def after(self, more: int) -> ReleaseStats:
        """Returns all requests so far, once so many more were answered."""
        counts = [more // len(self._speeds)] * len(self._speeds)
        for number in range(more % len(self._speeds)):
            counts[number] += 1
        self._total += ReleaseStats(
            {f"replica-{number}": self._answers(number, n) for number, n in enumerate(counts)}
        )
        return self._total

    def _answers(self, replica: int, count: int) -> RequestStats:
        told, chance = self._behaviour, self._chance
        errors = (
            told.sick_replica_errors if replica == 0 and told.sick_replica_errors else told.errors
        )

        def one() -> tuple[float, bool]:
            seconds = told.median_s * self._speeds[replica] * chance.lognormvariate(0, told.sigma)
            seconds += told.added_s
            if chance.random() < told.slow_share:
                seconds += told.slow_s
            return seconds, chance.random() < errors

        return tally(one() for _ in range(count))


def simulate(
    old: Behaviour,
    new: Behaviour,
    gate: Gate,
    each_look: int,
    seed: int,
    *,
    max_error_share: float = 0.02,
) -> Verdict:
    """Judges one simulated rollout, look by look, until the gate is sure or out of looks."""
    chance = random.Random(seed)  # noqa: S311 - a simulation is repeatable
    old_side, new_side = SimulatedRelease(old, chance), SimulatedRelease(new, chance)
    verdict = Verdict(())
    for look in range(1, gate.looks + 1):
        evidence = Evidence(new_side.after(each_look), old_side.after(each_look))
        verdict = judge(evidence, gate, max_error_share, look)
        if verdict.outcome != INCONCLUSIVE:
            break
    return verdict


def rates(run: Callable[[int], Verdict], rollouts: int) -> dict[str, float]:
    """Returns the share of each outcome over so many seeds."""
    found = {"pass": 0, "fail": 0, "inconclusive": 0}
    for seed in range(rollouts):
        found[run(seed).outcome] += 1
    return {outcome: count / rollouts for outcome, count in found.items()}
