"""Finishes the drains that deploys leave to the host: decides what is next, from a drain's record and what runs.

A drain has a record, RELEASE.json, written by the deploy tool (`deploy.core.state.draining`). Before the watchdog
signals a replica it writes a mark beside the record, RELEASE.signalled, so that whoever wants the release again knows
which replicas are about to end. It names their ids, one a line.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

FORMAT = 1
"""The newest format of a record that this version reads."""

KILL_AFTER_S = 5.0
"""How long after the end of its drain a replica may take to end by itself."""

DRAIN_S_OVER = "drain_s is over"


@dataclass(frozen=True)
class Replica:
    """A container that ends with its drain; `address` is that on the replicas' network."""

    id: str
    name: str
    address: str


@dataclass(frozen=True)
class Drain:
    """The replicas of a release that end at `deadline_s` or once `workers` are gone, whichever comes first.

    `workers` are the process ids of the nginx workers of the old configuration, None if they
    could not be listed. Times are in seconds since 1970 by the host's clock. `turn` is the operation that began it.
    """

    service: str
    release: str
    turn: int
    replicas: tuple[Replica, ...]
    begun_s: float
    deadline_s: float
    workers: frozenset[int] | None

    @property
    def lasts_s(self) -> float:
        """The longest that it may last."""
        return self.deadline_s - self.begun_s


@dataclass(frozen=True)
class Signal:
    """Write the mark for these replicas, then signal them. `reason` is for people."""

    ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Remove:
    """Remove these replicas, which have ended, or kill those that have not ended in time."""

    ended: tuple[str, ...]
    late: tuple[str, ...]


@dataclass(frozen=True)
class Finish:
    """Record the end of the drain, then remove the mark and the record."""


type Next = Signal | Remove | Finish | None
"""What to do now; None: wait."""


def parse_drain(text: str) -> Drain:
    """Returns the drain that a record describes. Raises ValueError for a damaged record or one of a newer format."""
    try:
        found: dict[str, Any] = json.loads(text)
        if found["format"] > FORMAT:
            raise ValueError(f"format {found['format']} is newer than {FORMAT}")
        workers = found["workers"]
        return Drain(
            service=str(found["service"]),
            release=str(found["release"]),
            turn=int(found["turn"]),
            replicas=tuple(
                Replica(str(each["id"]), str(each["name"]), str(each["address"]))
                for each in found["replicas"]
            ),
            begun_s=float(found["begun_s"]),
            deadline_s=float(found["deadline_s"]),
            workers=None if workers is None else frozenset(int(pid) for pid in workers),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a drain's record: {error!r}") from error


@dataclass(frozen=True)
class Seen:
    """What the host runs. `states` are those of the containers by id, `workers` the draining nginx workers.

    `workers` is None if they can't be listed. `routed` are ids of containers that the edge's text names: they belong to
    users again.
    """

    states: Mapping[str, str]
    workers: Collection[int] | None
    routed: Collection[str]


def decide(
    drain: Drain,
    seen: Seen,
    now_s: float,
    *,
    signalled_at_s: float | None,
    sent: Collection[str],
) -> Next:
    """Returns the next thing to do for a drain.

    `signalled_at_s` is the time of the mark, None without one. `sent` are the replicas that this process has signalled:
    an earlier process may have ended between the mark and the signal, so they are signalled again.
    """
    left = {
        replica.id: seen.states[replica.id]
        for replica in drain.replicas
        if replica.id in seen.states and replica.id not in seen.routed
    }
    if not left:
        return Finish()
    if signalled_at_s is None:
        reason = _reason(drain, seen, now_s)
        return Signal(tuple(left), reason) if reason else None
    ended = tuple(identity for identity, state in left.items() if not _runs(state))
    running = tuple(identity for identity in left if identity not in ended)
    if unsent := tuple(identity for identity in running if identity not in sent):
        return Signal(unsent, "signalled again after a restart of the watchdog")
    end_s = (
        max(signalled_at_s, min(drain.deadline_s, signalled_at_s + drain.lasts_s)) + KILL_AFTER_S
    )
    late = running if now_s >= end_s or _was_set_back(now_s, signalled_at_s) else ()
    return Remove(ended, late) if ended or late else None


def _reason(drain: Drain, seen: Seen, now_s: float) -> str:
    """Returns why the drain is over, "" if it isn't."""
    if (
        drain.workers is not None
        and seen.workers is not None
        and not drain.workers.intersection(seen.workers)
    ):
        return "no connection is left"
    over = now_s >= drain.deadline_s or _was_set_back(now_s, drain.begun_s)
    return DRAIN_S_OVER if over else ""


def _was_set_back(now_s: float, known_s: float) -> bool:
    """Returns whether the clock was set back, after which no replica may be kept until it has caught up."""
    return now_s < known_s - KILL_AFTER_S


def _runs(state: str) -> bool:
    return state in ("running", "paused", "restarting")


def describe(action: Next, drain: Drain) -> str:
    """Returns an action in words, for the ledger and the log."""
    names = {replica.id: replica.name for replica in drain.replicas}
    match action:
        case Signal(ids=ids, reason=reason):
            return f"signal {' '.join(names[each] for each in ids)}: {reason}"
        case Remove(ended=ended, late=late):
            parts = [f"kill {names[each]}: it did not end" for each in late]
            parts += [f"remove {' '.join(names[each] for each in ended)}"] if ended else []
            return "; ".join(parts)
        case Finish():
            return f"{drain.release} has drained"
        case None:
            return "wait"
        case _:
            assert_never(action)
