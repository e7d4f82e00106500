"""How often the gate is wrong and how often right, from 200 simulated rollouts each; docs/gate.md has more of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from deploy.core.config import Gate
from deploy.testing.simulated_traffic import (
    TrafficProfile,
    rates,
    simulate,
)

ROLLOUTS = 200
GATE = Gate()
WELL = TrafficProfile()


def outcomes(old: TrafficProfile, new: TrafficProfile, each_look: int) -> dict[str, float]:
    return rates(partial(simulate, old, new, GATE, each_look), ROLLOUTS)


@pytest.mark.parametrize("each_look", [100, 300])
@pytest.mark.parametrize(
    "both",
    [
        WELL,
        replace(WELL, replica_spread=0.5),
        replace(WELL, replicas=2),
        replace(WELL, errors=0.01),
        replace(WELL, errors=0.03),
        replace(WELL, median_s=0.4, sigma=1.0),
    ],
    ids=["well", "replicas differ by half", "two replicas", "1% errors", "3% errors", "slow"],
)
def test_of_equal_releases_two_in_a_hundred_are_refused_at_most(
    both: TrafficProfile, each_look: int
) -> None:
    found = outcomes(both, both, each_look)
    assert found["fail"] <= 0.02
    assert found["fail"] + found["inconclusive"] <= 0.02, found


@pytest.mark.parametrize("each_look", [100, 300])
@pytest.mark.parametrize(
    ("bad", "least"),
    [
        (replace(WELL, errors=0.05), 0.97),
        (replace(WELL, bad_replica_errors=0.2), 0.97),
        (replace(WELL, added_s=0.06), 0.99),
        (replace(WELL, added_s=0.03), 0.99),
        (replace(WELL, slow_share=0.1, slow_s=0.6), 0.97),
    ],
    ids=["5% errors", "one replica of five fails", "60 ms slower", "30 ms slower", "a slow tail"],
)
def test_a_bad_release_is_refused(bad: TrafficProfile, least: float, each_look: int) -> None:
    found = outcomes(WELL, bad, each_look)
    assert found["fail"] >= least, found
    assert found["pass"] <= 0.01, found
