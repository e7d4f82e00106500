"""The ledger of a host: an append-only file of operations and their effects, one JSON line each.

Each line carries the hash of the line before, so that a changed or missing line shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from deploy.core.state.json_record import from_json, load, to_json

EXEC = "exec"
"""The verb of a command that a person ran in replicas. It belongs to no operation: its turn is 0."""

BOOTSTRAP = "host bootstrap"
"""The verb of the set-up of a server as a host. It belongs to no operation and no service."""


class EntryEvent(StrEnum):
    """What a ledger line is about."""

    BEGUN = "begun"
    """An operation began."""
    ENDED = "ended"
    """An operation ended with `outcome`."""
    EFFECT = "effect"
    """A command of an operation ran: `what`, with its exit `code`."""
    TASK = "task"
    """The task `what` of a release ran to its end; `outcome` is "done" or "failed", `why` the end of its output."""
    REPAIRED = "repaired"
    """The ledger was damaged: nothing is certain about releases up to `sequence` that no line verifies."""
    JUDGED = "judged"
    """The analysis reached a verdict: `what`, as JSON."""
    DRAINED = "drained"
    """The replicas that the operation replaced have ended, `seconds` after their drain began; `what` says how."""


class Outcome(StrEnum):
    """How an operation ends, as ledgers, rollout logs and `--json` documents write it."""

    LIVE = "live"
    UNCHANGED = "unchanged"
    CONFIRMED = "confirmed"
    HELD = "held"
    ABORTED = "aborted"
    REVERTED = "reverted"
    STUCK = "stuck"
    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True)
class Entry:
    """One line: when (UTC, ISO 8601), who did what to which release of which service, and how it ended.

    `event` is an `EntryEvent` or, from a newer version, another word. `outcome` is an `Outcome` if an operation ended.
    `sequence` is the release's. `turn` numbers the operations of the whole fleet, so that the ledgers of two hosts can
    be compared without a clock. `when` is the time of the operation (for an effect the time at which its operation
    began), `at` is when the host wrote the line, by its own clock (UTC).
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


def head_of(entry: Entry) -> str:
    """Returns an entry as JSON without its end: the host appends the exit code of an effect, the time and the seal."""
    document = to_json(entry)
    del document["code"], document["at"]
    return json.dumps(document, sort_keys=True).removesuffix("}")


def sealed(head: str, last_line: str) -> str:
    """Returns a whole line, as a host writes it: the head with the seal of the line before ("" for the first line)."""
    return f'{head}, "prev": "{seal(last_line)}"}}'


def parse_ledger(text: str) -> tuple[Entry, ...]:
    """Returns all entries. Skips lines that hold none, such as a last line that a full disk or a kill cut off."""
    return tuple(entry for line in text.split("\n") if (entry := _entry(line)) is not None)


def broken_links(text: str, sealed_by: str = "") -> tuple[int, ...]:
    """Returns the numbers (from 1) of the lines that were changed or that follow a missing line.

    `sealed_by` is the text of the seal file, "COUNT HASH": only with it does a missing end show. Lines after the sealed
    ones are accepted, since a kill may come between writing a line and the seal.
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


def ledger_problem(
    sealed_by: str, lines: int | None, entries: Iterable[Entry], *, has_releases: bool
) -> str | None:
    """Returns what is missing of a ledger, None if nothing is. `lines` is None without a ledger.

    The line that an operation began is written before the first release, and the seal after each line. A ledger longer
    than its seal is whole: a kill may come between the two. One that the watchdog began anew, after the old one was
    removed, has no operation.
    """
    count = sealed_by.partition(" ")[0]
    if lines is None:
        return "is missing beside release records or its seal" if has_releases or count else None
    if count.isdecimal() and len(count) < 12:
        if lines < int(count):
            return f"has {lines} lines, but its seal says {int(count)}"
    elif count:
        return "has a damaged seal"
    operations = (EntryEvent.BEGUN, EntryEvent.ENDED, EntryEvent.REPAIRED)
    if has_releases and not any(entry.event in operations for entry in entries):
        return "has no operation beside release records"
    return None


def last_sequence(entries: Iterable[Entry]) -> int:
    """Returns the highest sequence of any release, 0 if there is none."""
    return max((entry.sequence for entry in entries), default=0)


def last_turn(entries: Iterable[Entry]) -> int:
    """Returns the number of the last operation, 0 if there is none."""
    return max((entry.turn for entry in entries), default=0)


def verified(entries: Iterable[Entry], service: str) -> tuple[Entry, ...]:
    """Returns the entries of releases that were verified from outside, in the order of turns."""
    found = [
        entry
        for entry in entries
        if (entry.service, entry.event, entry.outcome) == (service, EntryEvent.ENDED, Outcome.LIVE)
    ]
    return tuple(sorted(found, key=lambda entry: entry.turn))


def seal(line: str) -> str:
    """Returns the SHA-256 of a line, "" for an empty one."""
    return hashlib.sha256(line.encode()).hexdigest() if line else ""


def _entry(line: str) -> Entry | None:
    try:
        return from_json(Entry, load(line))
    except ValueError:
        return None


def _prev(line: str) -> str | None:
    try:
        return str(load(line)["prev"])
    except (ValueError, KeyError, TypeError):
        return None
