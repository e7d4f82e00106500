"""A host's append-only record of releases and effects, as lines; never writes one.

Each line carries the hash of the line before, so that a changed or missing line shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One event: when (UTC, ISO 8601), who did what to which release of which service, how it ended.

    `event` is "begun" or "ended"; `outcome` is "" for begun. `sequence` is the release's. `turn` numbers the
    operations of the whole fleet, so that two hosts' ledgers can be compared without a clock.
    """

    turn: int
    when: str
    who: str
    verb: str
    service: str
    release: str
    sequence: int
    event: str
    outcome: str = ""
    revision: str = ""
    image: str = ""
    previous: str = ""
    why: str = ""
    seconds: float = 0.0
    pipeline: str = ""


def dump_entry(entry: Entry, last_line: str) -> str:
    """Writes an entry as one line that seals the line before ("" for the first)."""
    return json.dumps({**asdict(entry), "prev": seal(last_line)}, sort_keys=True)


def parse_ledger(text: str) -> tuple[Entry, ...]:
    """Reads all entries; a last line that was cut off by a full disk or a kill is passed over."""
    return tuple(entry for line in text.splitlines() if (entry := _entry(line)) is not None)


def broken_links(text: str) -> tuple[int, ...]:
    """Returns the numbers (from 1) of lines whose seal doesn't fit the line before."""
    lines = text.splitlines()
    pairs = zip(["", *lines], lines, strict=False)
    return tuple(
        number for number, (before, line) in enumerate(pairs, 1) if _prev(line) != seal(before)
    )


def last_sequence(entries: Iterable[Entry]) -> int:
    """Returns the highest sequence that was ever given, 0 for none."""
    return max((entry.sequence for entry in entries), default=0)


def last_turn(entries: Iterable[Entry]) -> int:
    """Returns the number of the last operation, 0 for none."""
    return max((entry.turn for entry in entries), default=0)


def verified(entries: Iterable[Entry], service: str) -> tuple[Entry, ...]:
    """Returns the entries that say of a release that it answered from outside, in the order of turns."""
    found = [
        e for e in entries if e.service == service and e.event == "ended" and e.outcome == "live"
    ]
    return tuple(sorted(found, key=lambda entry: entry.turn))


def seal(line: str) -> str:
    """Hashes a line; "" stays ""."""
    return hashlib.sha256(line.encode()).hexdigest() if line else ""


def _entry(line: str) -> Entry | None:
    try:
        data: dict[str, Any] = json.loads(line)
        return Entry(**{name: value for name, value in data.items() if name != "prev"})
    except (ValueError, TypeError, AttributeError):
        return None


def _prev(line: str) -> str | None:
    try:
        return str(json.loads(line)["prev"])
    except (ValueError, KeyError, TypeError):
        return None
