"""What a simulated edge wrote down of its requests, counted as the script on a host counts; never a text of nginx's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from deploy.core.analysis.access_log import SYNTHETIC_PREFIX, VERIFICATION_ID
from deploy.testing.fleet.clock import BEGINNING

EPOCH_S = BEGINNING.timestamp()
"""A host's clock when the simulation begins."""


@dataclass(frozen=True)
class Logged:
    """One request, at a time of the host's own clock."""

    at: float
    request_id: str
    upstream: str
    address: str
    status: int
    milliseconds: int


@dataclass
class AccessLog:
    """The log of one host's edge; `clock_off_s` is how far the host's clock is from the right time."""

    clock_off_s: float = 0.0
    requests: list[Logged] = field(default_factory=list)

    def now(self, passed_s: float) -> float:
        """The host's clock, that long after the simulation began."""
        return EPOCH_S + passed_s + self.clock_off_s

    def by_second(self, since: float, until: float) -> str:
        """Returns what `core.analysis.access_log.by_second` prints."""
        counts: Counter[str] = Counter()
        for each in self.requests:
            if since <= each.at <= until and each.request_id != VERIFICATION_ID:
                second = datetime.fromtimestamp(each.at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
                counts[f"{second} {each.upstream} {each.status} {each.milliseconds}"] += 1
        return "".join(f"{key} {count}\n" for key, count in counts.items())

    def count(self, since: float, until: float, prefix: str) -> str:
        """Returns what `core.analysis.access_log.count_requests` prints."""
        counts: Counter[str] = Counter()
        for each in self.requests:
            if not since <= each.at <= until or each.request_id == VERIFICATION_ID:
                continue
            origin = "synthetic" if each.request_id.startswith(SYNTHETIC_PREFIX) else "users"
            if origin == "synthetic" and not each.request_id.startswith(prefix):
                continue
            counts[
                f"{origin} {each.upstream} {each.address} {each.status} {each.milliseconds}"
            ] += 1
        return "".join(f"{key} {count}\n" for key, count in counts.items())
