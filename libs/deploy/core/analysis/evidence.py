"""Combines the counts of all hosts into the evidence for a verdict: whose requests count, and how many are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from deploy.core.analysis.access_log import Counts, Origin
from deploy.core.analysis.samples import ReleaseStats
from deploy.core.analysis.verdict import Evidence, RuleResult
from deploy.core.state.edge import upstream_name
from deploy.core.state.release import Release

type StatsByOrigin = Mapping[Origin, ReleaseStats]
_NONE: StatsByOrigin = MappingProxyType({})


@dataclass(frozen=True)
class FleetCounts:
    """The requests to both releases over all hosts. `compared` is False if there is no old release."""

    new: StatsByOrigin = field(default=_NONE)
    old: StatsByOrigin = field(default=_NONE)
    compared: bool = True

    def basis(self, needed: int) -> Origin:
        """Returns whose requests to compare: users' if both releases got enough of them, else synthetic ones.

        They are never mixed: the shares would differ between the releases, and so would the times of day.
        """
        releases = (self.new, self.old) if self.compared else (self.new,)
        enough = all(_of(stats, Origin.USERS).total.requests >= needed for stats in releases)
        return Origin.USERS if enough else Origin.SYNTHETIC

    def missing(self, needed: int) -> tuple[int, int]:
        """Returns how many more synthetic requests the new and the old release need."""
        if self.basis(needed) is Origin.USERS:
            return 0, 0
        counts = (_of(each, Origin.SYNTHETIC).total.requests for each in (self.new, self.old))
        new, old = (max(0, needed - count) for count in counts)
        return new, old if self.compared else 0

    def evidence(self, needed: int, checks: tuple[RuleResult, ...] = ()) -> Evidence:
        """Returns the evidence so far, with the results of the service's own conditions."""
        basis = self.basis(needed)
        return Evidence(
            new=_of(self.new, basis),
            old=_of(self.old, basis) if self.compared else None,
            basis=basis,
            all_new=sum((_of(self.new, origin) for origin in Origin), ReleaseStats()),
            checks=checks,
        )


def combine(counts: Mapping[str, Counts], new: Release, old: Release | None) -> FleetCounts:
    """Sums up both releases' requests from what each host (by name) counted, with replicas by name."""
    return FleetCounts(
        _stats(counts, new), _stats(counts, old) if old is not None else _NONE, old is not None
    )


def _stats(counts: Mapping[str, Counts], release: Release) -> StatsByOrigin:
    upstream = upstream_name(release.service, release.id)
    names = {
        f"{address}:{release.port}": name
        for address, name in zip(release.addresses, release.names, strict=True)
    }

    def named(host: str, stats: ReleaseStats) -> ReleaseStats:
        by_name = ReleaseStats()
        for address, requests in stats.replicas.items():
            name = f"{names[address]} on {host}" if address in names else None
            by_name += ReleaseStats({name: requests})
        return by_name

    return {
        origin: sum(
            (
                named(host, found)
                for host, counted in counts.items()
                if (found := counted.get((origin, upstream))) is not None
            ),
            ReleaseStats(),
        )
        for origin in Origin
    }


def _of(stats: StatsByOrigin, origin: Origin) -> ReleaseStats:
    return stats.get(origin, ReleaseStats())
