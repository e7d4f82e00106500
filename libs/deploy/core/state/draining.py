"""A drain: replicas of a release that a deploy has left to the host's watchdog to stop, as a record on the host.

The watchdog reads the record with code of its own (`watchdog.draining`), since it runs without this library.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from deploy.core.state.json_record import from_json, to_json

FORMAT = 1

DRAINS_LABEL = "py-cicd.drains"
"""The label of the watchdog's container, "1" from the version on that finishes drains."""

OVERDUE_AFTER_S = 30.0
"""How long after its deadline a drain counts as overdue: the watchdog checks every 2 s and kills after 5 s."""


@dataclass(frozen=True)
class DrainingReplica:
    """A container that ends with its drain; `address` is that on the replicas' network."""

    id: str
    name: str
    address: str


@dataclass(frozen=True)
class Draining:
    """The replicas of a release that end at `deadline_s`, or before it once no worker of `workers` is left.

    `workers` are the process ids of the nginx workers that were shutting down when the drain began, None if they could
    not be listed. Times are in seconds since 1970 by the clock of the host that keeps the record. `turn` is the
    operation that began the drain.
    """

    service: str
    release: str
    turn: int
    replicas: tuple[DrainingReplica, ...]
    begun_s: float
    deadline_s: float
    workers: tuple[int, ...] | None
    format: int = FORMAT

    def is_overdue(self, now_s: float) -> bool:
        """Returns whether the watchdog should have ended it long ago. `now_s` is the host's clock."""
        return now_s > self.deadline_s + OVERDUE_AFTER_S

    def covers(self, ids: Iterable[str]) -> bool:
        """Returns whether all these containers end with this drain."""
        return {*ids} <= {replica.id for replica in self.replicas}

    def names_any(self, names: Iterable[str]) -> bool:
        """Returns whether one of these replicas ends with this drain."""
        return not {*names}.isdisjoint(replica.name for replica in self.replicas)


def dump_draining(draining: Draining) -> str:
    """Returns the record as one line of JSON."""
    return json.dumps(to_json(draining), sort_keys=True)


def parse_draining(text: str) -> Draining:
    """Returns the record that a text holds. Raises ValueError for a damaged one, or one of a newer format."""
    document = json.loads(text)
    found = from_json(Draining, document)
    if found.format > FORMAT:
        raise ValueError(
            f"the record of a drain has format {found.format}, this version reads {FORMAT}"
        )
    return found


@dataclass(frozen=True)
class DrainEnd:
    """How a drain ended: the number of replicas, and of requests that were still open when their replica ended."""

    replicas: int
    cut: int = 0


def dump_drain_end(end: DrainEnd) -> str:
    """Returns it as the ledger has it in `what`."""
    return json.dumps(to_json(end), sort_keys=True)


def parse_drain_end(what: str) -> DrainEnd:
    """Returns how a drain ended, from `what` of its ledger entry; no replicas for a text of another kind."""
    try:
        return from_json(DrainEnd, json.loads(what))
    except ValueError:
        return DrainEnd(0)
