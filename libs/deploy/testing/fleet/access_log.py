"""The access log of a simulated edge, with the counts that the host scripts print."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from deploy.core.analysis.access_log import SYNTHETIC_PREFIX, VERIFICATION_ID
from deploy.testing.fleet.clock import BEGINNING

EPOCH_S = BEGINNING.timestamp()
"""The right time when the simulation begins."""


@dataclass(frozen=True)
class Logged:
    """One request, with the time by the host's clock."""

    at: float
    request_id: str
    upstream: str
    address: str
    status: int
    milliseconds: int


@dataclass
class AccessLog:
    """The log of one host's edge. The host's clock is ahead of the right time by `clock_off_s`."""

    clock_off_s: float = 0.0
    requests: list[Logged] = field(default_factory=list)

    def now(self, passed_s: float) -> float:
        """Returns the time by the host's clock, `passed_s` after the simulation began."""
        return EPOCH_S + passed_s + self.clock_off_s

    def by_second(self, since: float, until: float) -> str:
        """Returns what `core.analysis.access_log.by_second` prints."""
        counts: Counter[str] = Counter()
        for logged in self.requests:
            if since <= logged.at <= until and logged.request_id != VERIFICATION_ID:
                second = datetime.fromtimestamp(logged.at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
                origin = self._origin(logged)
                counts[
                    f"{second} {origin} {logged.upstream} {logged.status} {logged.milliseconds}"
                ] += 1
        return "".join(f"{key} {count}\n" for key, count in counts.items())

    def count(self, since: float, until: float, prefix: str) -> str:
        """Returns what `core.analysis.access_log.count_requests` prints."""
        counts: Counter[str] = Counter()
        for logged in self.requests:
            if not since <= logged.at <= until or logged.request_id == VERIFICATION_ID:
                continue
            origin = self._origin(logged)
            if origin == "synthetic" and not logged.request_id.startswith(prefix):
                continue
            counts[
                f"{origin} {logged.upstream} {logged.address} {logged.status} {logged.milliseconds}"
            ] += 1
        return "".join(f"{key} {count}\n" for key, count in counts.items())

    @staticmethod
    def _origin(logged: Logged) -> str:
        return "synthetic" if logged.request_id.startswith(SYNTHETIC_PREFIX) else "users"
