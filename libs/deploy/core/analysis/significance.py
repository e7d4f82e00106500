"""Three tests from counts alone: a share's bounds, two shares against each other, two distributions in buckets.

Standard library, since a deploy must not wait seconds for scipy's import; scipy is the oracle of the tests. It never
says what is good enough: that is `core.analysis.verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()


def wilson(hits: int, total: int, alpha: float) -> tuple[float, float]:
    """Returns the two-sided Wilson bounds of a share; (0, 1) without a single trial.

    https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval
    """
    if total <= 0:
        return 0.0, 1.0
    z = _NORMAL.inv_cdf(1 - alpha / 2)
    share, weight = hits / total, z * z / total
    middle = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == total else min(1.0, middle + half)
    return low, high


def fisher_more(new_hits: int, new_total: int, old_hits: int, old_total: int) -> float:
    """Returns how likely so many of the hits, or more, would be the new side's if both sides were alike.

    Fisher's exact test, one-sided: scipy's `fisher_exact(..., alternative="greater")`.
    """
    hits, total = new_hits + old_hits, new_total + old_total
    most = min(hits, new_total)
    if new_hits <= max(0, hits - old_total):
        return 1.0
    # The first term from the logarithms of factorials, each next one from the one before.
    term = math.exp(
        _log_choose(new_total, new_hits)
        + _log_choose(old_total, hits - new_hits)
        - _log_choose(total, hits)
    )
    p = 0.0
    for x in range(new_hits, most + 1):
        p += term
        term *= (new_total - x) * (hits - x) / ((x + 1) * (old_total - hits + x + 1))
    return min(1.0, p)


def _log_choose(total: int, some: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(some + 1) - math.lgamma(total - some + 1)


@dataclass(frozen=True)
class Shift:
    """How far a distribution lies above another: the p value, and Cliff's delta as the effect's size.

    Delta is how much more often a draw of the new side is the greater one than the smaller one, from -1 to 1.
    """

    p: float
    delta: float


def mann_whitney_more(new: Sequence[int], old: Sequence[int]) -> Shift:
    """Compares counts in the same, ordered buckets; a side without any is no shift with p 1.

    What shares a bucket is tied. Normal approximation with the correction for ties and for continuity: scipy's
    `mannwhitneyu(..., alternative="greater", method="asymptotic")` on each count's bucket number.
    """
    if len(new) != len(old):
        raise ValueError("both sides need the same buckets")
    n, m = sum(new), sum(old)
    if not n or not m:
        return Shift(1.0, 0.0)
    below, wins, ties = 0, 0.0, 0.0
    for a, b in zip(new, old, strict=True):
        wins += a * (below + b / 2)
        below += b
        ties += float(a + b) ** 3 - (a + b)
    total = n + m
    spread = math.sqrt(n * m / 12 * ((total + 1) - ties / (total * (total - 1))))
    delta = 2 * wins / (n * m) - 1
    if spread == 0:
        return Shift(1.0, delta)
    z = (wins - n * m / 2 - 0.5) / spread
    return Shift(math.erfc(z / math.sqrt(2)) / 2, delta)


def quantile(counts: Sequence[int], bounds: Sequence[float], share: float) -> float:
    """Returns the value below which this share of the counts lies, straight between a bucket's bounds.

    `bounds` are the buckets' upper ends; the last bucket has none, and answers with the last bound. NaN for nothing.
    """
    total = sum(counts)
    if not total:
        return math.nan
    rank, below = share * total, 0
    for number, count in enumerate(counts):
        if count and below + count >= rank:
            if number >= len(bounds):
                return bounds[-1]
            low = bounds[number - 1] if number else 0.0
            return low + (bounds[number] - low) * (rank - below) / count
        below += count
    return bounds[-1]
