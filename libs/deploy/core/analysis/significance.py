"""Three significance tests on counts: the bounds of a share, two shares compared, two histograms compared.

Written with the standard library, because importing scipy takes seconds. The tests compare the results with scipy's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()


def wilson(hits: int, total: int, alpha: float) -> tuple[float, float]:
    """Returns the two-sided Wilson bounds of the share `hits / total`; (0, 1) if `total` is 0.

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
    """Returns the probability that the new side gets `new_hits` or more of all hits if both sides are alike.

    Fisher's exact test, one-sided: scipy's `fisher_exact(..., alternative="greater")`.
    """
    hits, total = new_hits + old_hits, new_total + old_total
    most = min(hits, new_total)
    if new_hits <= max(0, hits - old_total):
        return 1.0
    # The first term comes from logarithms of factorials, each further term from the one before it.
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
    """How far one distribution lies above another: the p value, and Cliff's delta as the size of the effect.

    Delta is P(new > old) - P(new < old) for one draw from each side, from -1 to 1.
    """

    p: float
    delta: float


def mann_whitney_more(new: Sequence[int], old: Sequence[int]) -> Shift:
    """Compares two histograms with the same ordered buckets. Returns p 1 and delta 0 if one side is empty.

    Counts in the same bucket are ties. Normal approximation with corrections for ties and continuity: scipy's
    `mannwhitneyu(..., alternative="greater", method="asymptotic")` on each count's bucket number.

    Raises ValueError if the numbers of buckets differ.
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
    """Returns the value below which this share of the counts lies, interpolated linearly within a bucket.

    `bounds` are the upper bounds of the buckets; the last bucket has none and yields the last bound. Returns NaN
    without counts.
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
