"""Request counts of a release by replica, each with a histogram of latencies.

A bucket is about 12 % wide, which is finer than any difference that users notice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from deploy.core.analysis.significance import quantile

FIRST_FAILURE = 500
"""The lowest HTTP status that counts as a failed request."""


def _bounds() -> tuple[float, ...]:
    bounds, milliseconds = [], 1.0
    while milliseconds < 60_000:
        bounds.append(round(milliseconds) / 1000)
        milliseconds = max(milliseconds + 1, milliseconds * 1.12)
    return (*bounds, 60.0)


BOUNDS = _bounds()
"""The upper bounds of all buckets but the last, in seconds."""
_EMPTY = (0,) * (len(BOUNDS) + 1)


@dataclass(frozen=True)
class RequestStats:
    """A number of requests, how many of them failed, and how many fell into each latency bucket."""

    requests: int = 0
    errors: int = 0
    buckets: tuple[int, ...] = _EMPTY

    @classmethod
    def from_counts(cls, rows: Iterable[tuple[float, bool, int]]) -> RequestStats:
        """Sums up rows of (seconds, failed, number of such requests)."""
        buckets, errors, total = list(_EMPTY), 0, 0
        for seconds, failed, count in rows:
            buckets[bisect_left(BOUNDS, seconds)] += count
            errors += count * failed
            total += count
        return cls(total, errors, tuple(buckets))

    @classmethod
    def from_requests(cls, requests: Iterable[tuple[float, bool]]) -> RequestStats:
        """Sums up single requests, each as (seconds, failed)."""
        return cls.from_counts((seconds, failed, 1) for seconds, failed in requests)

    def __add__(self, other: RequestStats) -> RequestStats:
        """Returns the sum of both."""
        buckets = tuple(a + b for a, b in zip(self.buckets, other.buckets, strict=True))
        return RequestStats(self.requests + other.requests, self.errors + other.errors, buckets)

    @property
    def error_share(self) -> float:
        """The share of requests that failed; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    def quantile_s(self, share: float) -> float:
        """Returns the seconds within which this share of the requests was answered; NaN without requests."""
        return quantile(self.buckets, BOUNDS, share)

    def slower_than(self, bound_s: float) -> int:
        """Returns how many requests took longer than `bound_s`, one of `BOUNDS`."""
        return sum(self.buckets[bisect_left(BOUNDS, bound_s) + 1 :])


@dataclass(frozen=True)
class ReleaseStats:
    """The requests to one release by replica; under None those that reached no replica."""

    replicas: Mapping[str | None, RequestStats] = field(
        default_factory=lambda: MappingProxyType({})
    )

    @property
    def total(self) -> RequestStats:
        """The sum over all replicas."""
        return sum(self.replicas.values(), RequestStats())

    def __add__(self, other: ReleaseStats) -> ReleaseStats:
        """Returns the sum of both, replica by replica."""
        none = RequestStats()
        names = dict.fromkeys((*self.replicas, *other.replicas))
        return ReleaseStats(
            {name: self.replicas.get(name, none) + other.replicas.get(name, none) for name in names}
        )
