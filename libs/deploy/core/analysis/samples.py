"""Requests as counts by replica: what the edge's log is boiled down to; never reads a log.

Buckets are fine enough (about 12 % wide) that nothing a person would notice is lost in one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from deploy.core.analysis.significance import quantile

FIRST_FAILURE = 500


def _bounds() -> tuple[float, ...]:
    found, milliseconds = [], 1.0
    while milliseconds < 60_000:
        found.append(round(milliseconds) / 1000)
        milliseconds = max(milliseconds + 1, milliseconds * 1.12)
    return (*found, 60.0)


BOUNDS = _bounds()
"""The upper ends of all buckets but the last, in seconds."""
_NOTHING = (0,) * (len(BOUNDS) + 1)


@dataclass(frozen=True)
class RequestStats:
    """Requests, those of them that failed, and how many lasted how long (one count a bucket)."""

    requests: int = 0
    errors: int = 0
    buckets: tuple[int, ...] = _NOTHING

    def __add__(self, other: RequestStats) -> RequestStats:
        """Returns both together."""
        both = zip(self.buckets, other.buckets, strict=True)
        buckets = tuple(mine + theirs for mine, theirs in both)
        return RequestStats(self.requests + other.requests, self.errors + other.errors, buckets)

    @property
    def error_share(self) -> float:
        """The share of requests that failed, 0 for none."""
        return self.errors / self.requests if self.requests else 0.0

    def slowest(self, share: float) -> float:
        """Returns the seconds within which this share of the requests was answered, NaN for none."""
        return quantile(self.buckets, BOUNDS, share)

    def above(self, bound: float) -> int:
        """Returns how many lasted longer than a bucket's bound."""
        return sum(self.buckets[bisect_left(BOUNDS, bound) + 1 :])


def tally(requests: Iterable[tuple[float, bool]]) -> RequestStats:
    """Counts requests, each as (seconds, whether it failed)."""
    counts, errors, total = list(_NOTHING), 0, 0
    for seconds, failed in requests:
        counts[bisect_left(BOUNDS, seconds)] += 1
        errors += failed
        total += 1
    return RequestStats(total, errors, tuple(counts))


@dataclass(frozen=True)
class ReleaseStats:
    """One release's requests, by replica ("" for those that no replica took)."""

    replicas: Mapping[str, RequestStats] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def all(self) -> RequestStats:
        """All replicas together."""
        return sum(self.replicas.values(), RequestStats())

    def __add__(self, other: ReleaseStats) -> ReleaseStats:
        """Returns both together, replica by replica."""
        names = sorted({*self.replicas, *other.replicas})
        nothing = RequestStats()
        return ReleaseStats(
            {
                name: self.replicas.get(name, nothing) + other.replicas.get(name, nothing)
                for name in names
            }
        )


def counted(rows: Iterable[tuple[float, bool, int]]) -> RequestStats:
    """Adds rows of (seconds, whether they failed, how many)."""
    counts, errors, total = list(_NOTHING), 0, 0
    for seconds, failed, count in rows:
        counts[bisect_left(BOUNDS, seconds)] += count
        errors += count * failed
        total += count
    return RequestStats(total, errors, tuple(counts))
