"""A host's append-only record of releases and effects, as lines; never writes one.

Each line carries the hash of the line before, so that a changed or missing line shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

EXEC = "exec"
"""The verb of a command that a person ran in replicas; it is an effect of no operation (turn 0)."""

BOOTSTRAP = "host bootstrap"
"""The verb of what made a server a host; it is an effect of no operation and no service."""


@dataclass(frozen=True)
class Entry:
    """One event: when (UTC, ISO 8601), who did what to which release of which service, how it ended.

    `event` is "begun" or "ended" of an operation, "effect" of one command under it (`what`, and its exit `code`), or
    "task" of a task that ran to its end. `outcome` is "" for begun. `sequence` is the release's. `turn` numbers the
    operations of the whole fleet, so that two hosts' ledgers can be compared without a clock. `when` is the
    operation's (an effect bears that of its beginning), `at` is when the host wrote the line, by its own clock (UTC).
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
    what: str = ""
    code: int = 0
    at: str = ""


_KNOWN = {field.name for field in fields(Entry)}
"""An older tool, as an old job's image brings it, reads what a newer one wrote: what it doesn't know it leaves out."""


def head_of(entry: Entry) -> str:
    """Writes an entry as JSON without its end: the host adds the exit code of an effect, its time, and the seal."""
    told = {name: value for name, value in asdict(entry).items() if name not in ("code", "at")}
    return json.dumps(told, sort_keys=True).removesuffix("}")


def sealed(head: str, last_line: str) -> str:
    """Ends an entry as a host does: with the seal of the line before ("" for the first)."""
    return f'{head}, "prev": "{seal(last_line)}"}}'


def parse_ledger(text: str) -> tuple[Entry, ...]:
    """Reads all entries; a last line that was cut off by a full disk or a kill is passed over."""
    return tuple(entry for line in text.split("\n") if (entry := _entry(line)) is not None)


def broken_links(text: str, sealed_by: str = "") -> tuple[int, ...]:
    """Returns the numbers (from 1) of lines that were changed, or before which one is missing.

    `sealed_by` is the seal file's text, "COUNT HASH": without it a missing end can't be told. A line that was added
    since (a kill came between the two) is no fault.
    """
    lines = text.removesuffix("\n").split("\n") if text else []
    pairs = zip(["", *lines], lines, strict=False)
    found = [
        number for number, (before, line) in enumerate(pairs, 1) if _prev(line) != seal(before)
    ]
    count, _, last = sealed_by.strip().partition(" ")
    if count and (len(lines) < int(count) or seal(lines[int(count) - 1]) != last):
        found.append(min(len(lines) + 1, int(count)))
    return tuple(dict.fromkeys(found))


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
        return Entry(**{name: value for name, value in data.items() if name in _KNOWN})
    except (ValueError, TypeError, AttributeError):
        return None


def _prev(line: str) -> str | None:
    try:
        return str(json.loads(line)["prev"])
    except (ValueError, KeyError, TypeError):
        return None
