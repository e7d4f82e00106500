"""Puts the hosts' counts together for a verdict: whose requests they are and how many more are needed; asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from deploy.core.analysis.access_log import SYNTHETIC, USERS
from deploy.core.analysis.samples import ReleaseStats
from deploy.core.analysis.verdict import Evidence, Finding
from deploy.core.state.edge import upstream_name
from deploy.core.state.release import Release

type Counts = Mapping[tuple[str, str], ReleaseStats]
"""What one host counted, by (origin, upstream)."""
_NONE: Mapping[str, ReleaseStats] = MappingProxyType({})


@dataclass(frozen=True)
class Requests:
    """The requests to both releases over all hosts, by origin. `compared`: there is an old release at all."""

    new: Mapping[str, ReleaseStats] = field(default=_NONE)
    old: Mapping[str, ReleaseStats] = field(default=_NONE)
    compared: bool = True

    def basis(self, wanted: int) -> str:
        """Users' requests where they are enough on both sides, else synthetic ones: never a mixture.

        The two sides' mixtures would differ, and so would their times.
        """
        sides = (self.new, self.old) if self.compared else (self.new,)
        enough = all(_of(side, USERS).all.requests >= wanted for side in sides)
        return USERS if enough else SYNTHETIC

    def lacking(self, wanted: int) -> tuple[int, int]:
        """Returns how many synthetic requests the new and the old release need to be judged by."""
        if self.basis(wanted) == USERS:
            return 0, 0
        had = (_of(side, SYNTHETIC).all.requests for side in (self.new, self.old))
        new, old = (max(0, wanted - each) for each in had)
        return new, old if self.compared else 0

    def evidence(self, wanted: int, readings: tuple[Finding, ...] = ()) -> Evidence:
        """Returns what a verdict can rest on now."""
        basis = self.basis(wanted)
        everything = sum((_of(self.new, each) for each in (USERS, SYNTHETIC)), ReleaseStats())
        return Evidence(
            new=_of(self.new, basis),
            old=_of(self.old, basis) if self.compared else None,
            basis=basis,
            all_new=everything,
            readings=readings,
        )


def requests_of(counts: Mapping[str, Counts], new: Release, old: Release | None) -> Requests:
    """Takes both releases' requests out of what each host counted, with replicas' names for their addresses."""
    return Requests(
        _side(counts, new), _side(counts, old) if old is not None else _NONE, old is not None
    )


def _side(counts: Mapping[str, Counts], release: Release) -> Mapping[str, ReleaseStats]:
    upstream = upstream_name(release.service, release.id)
    names = {
        f"{address}:{release.port}": name
        for address, name in zip(release.addresses, release.names, strict=True)
    }
    return {
        origin: _joined(
            ReleaseStats(
                {
                    f"{names[address]} on {host}" if address in names else "": tally
                    for address, tally in found.replicas.items()
                }
            )
            for host, counted in counts.items()
            if (found := counted.get((origin, upstream))) is not None
        )
        for origin in (USERS, SYNTHETIC)
    }


def _joined(sides: Iterable[ReleaseStats]) -> ReleaseStats:
    return sum(sides, ReleaseStats())


def _of(side: Mapping[str, ReleaseStats], origin: str) -> ReleaseStats:
    return side.get(origin, ReleaseStats())
