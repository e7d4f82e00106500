"""Writes what the keeper did into the host's ledger, sealed as the deploy tool's own script seals it.

The tool's script is `RECORD` in deploy.core.commands.locks; record_test.py lets both write into one ledger in turn.
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
    """One thing that was done, when (UTC, ISO 8601), to which release of which service, and its exit code."""

    when: str
    service: str
    release: str
    what: str
    code: int

    def entry(self) -> dict[str, object]:
        """Returns it as the ledger's entry; turn 0 belongs to no operation of a person."""
        return {
            "turn": 0,
            "when": self.when,
            "who": "keeper",
            "verb": "keep",
            "service": self.service,
            "release": self.release,
            "sequence": 0,
            "event": "effect",
            "what": self.what,
            "code": self.code,
        }


def append(ledger: Path, effect: Effect) -> None:
    """Adds one line under the ledger's lock, sealed by the hash of the line before. Raises OSError."""
    with ledger.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if text and not text.endswith(b"\n"):
            file.write(b"\n")  # a line that was cut off stays what it is
            text += b"\n"
        last = text.removesuffix(b"\n").rpartition(b"\n")[2]
        sealed = {**effect.entry(), "prev": hashlib.sha256(last).hexdigest() if text else ""}
        line = json.dumps(sealed).encode()
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
        seal = ledger.with_name(f"{ledger.name}.seal")
        fresh = seal.with_name(f"{seal.name}.new")
        fresh.write_text(f"{text.count(b'\n') + 1} {hashlib.sha256(line).hexdigest()}\n")
        fresh.replace(seal)
