"""Appends the watchdog's actions to the host's ledger, sealed like the lines of the deploy tool.

The deploy tool's counterpart is the shell function `record` in deploy.core.commands.locks.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Effect:
    """One action: when (UTC, ISO 8601), on which release of which service ("" for a stack), what, and its exit code."""

    when: str
    service: str
    release: str
    what: str
    code: int

    def entry(self) -> dict[str, object]:
        """Returns the ledger entry. Turn 0 marks an action that belongs to no operation."""
        return {
            "turn": 0,
            "when": self.when,
            "who": "watchdog",
            "verb": "recover",
            "service": self.service,
            "release": self.release,
            "sequence": 0,
            "event": "effect",
            "what": self.what,
            "code": self.code,
        }


@dataclass(frozen=True)
class Drained:
    """A drain that has ended, `seconds` after it began. `turn` is the operation that began it, `cut` the requests that
    were still open when their replica ended."""

    when: str
    service: str
    release: str
    turn: int
    seconds: float
    replicas: int
    cut: int

    def entry(self) -> dict[str, object]:
        """Returns the ledger entry, which belongs to the operation that began the drain."""
        what = {"replicas": self.replicas, "cut": self.cut}
        return {
            "turn": self.turn,
            "when": self.when,
            "who": "watchdog",
            "verb": "drain",
            "service": self.service,
            "release": self.release,
            "sequence": 0,
            "event": "drained",
            "seconds": self.seconds,
            "what": json.dumps(what, sort_keys=True),
            "code": 0,
        }


def append(ledger: Path, effect: Effect | Drained) -> None:
    """Appends one line under the ledger's lock, with the hash of the line before it. Raises OSError."""
    with ledger.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if text and not text.endswith(b"\n"):
            file.write(b"\n")  # ends a torn line, which stays in the ledger
            text += b"\n"
        last = text.removesuffix(b"\n").rpartition(b"\n")[2]
        sealed = {**effect.entry(), "prev": hashlib.sha256(last).hexdigest() if text else ""}
        line = json.dumps(sealed).encode()
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
        seal = ledger.with_name(f"{ledger.name}.seal")
        new_seal = seal.with_name(f"{seal.name}.new")
        new_seal.write_text(f"{text.count(b'\n') + 1} {hashlib.sha256(line).hexdigest()}\n")
        new_seal.replace(seal)
