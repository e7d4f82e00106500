"""A host under the lock: effects run only while the lock is held, and each is recorded in the host's ledger.

Reading needs no lock. Each effect runs under a shared lock of its own, with a time limit, and only for the holder's
token: a deployer that lost its lock can't go on, and the next one waits for commands that still run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from deploy.core.commands import locks
from deploy.core.ports import Completed, Host
from deploy.core.state.ledger import Entry, EntryEvent, head_of
from deploy.errors import CommandError, LockedError


class LockedHost:
    """A host under the lock. `host` is the host itself, for reading.

    `entry` is the operation that effects belong to; `redact` removes secrets from what the ledger records.
    """

    def __init__(
        self, host: Host, token: str, entry: Entry, redact: Callable[[str], str] = str
    ) -> None:
        self.host = host
        self._token = token
        self._entry = entry
        self._redact = redact

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name

    def for_operation(self, entry: Entry) -> LockedHost:
        """Returns the same locked host, with effects that belong to the operation of this entry."""
        return LockedHost(self.host, self._token, entry, self._redact)

    def run(
        self, argv: Sequence[str], what: str, *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> Completed:
        """Runs a command and returns its end, whatever its exit code; the ledger records it as `what`.

        Raises LockedError if the lock was lost.
        """
        head = self._head_of(replace(self._entry, event=EntryEvent.EFFECT, what=what))
        return self._guarded(locks.effect(self._token, head, argv, timeout_s), stdin, timeout_s)

    def run_checked(
        self, argv: Sequence[str], what: str, *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> str:
        """Runs a command as `run` does and returns its output. Raises CommandError unless it succeeds."""
        done = self.run(argv, what, stdin=stdin, timeout_s=timeout_s)
        return _checked(done, f"{self.name}: {what}")

    def record(self, entry: Entry) -> None:
        """Adds an entry to the host's ledger. Raises CommandError, and LockedError if the lock was lost."""
        done = self._guarded(locks.record(self._token, self._head_of(entry)), b"", 30.0)
        _checked(done, f"{self.name}: writing the ledger")

    def _head_of(self, entry: Entry) -> str:
        who, why, what = (self._redact(text) for text in (entry.who, entry.why, entry.what))
        return head_of(replace(entry, who=who, why=why, what=what))

    def _guarded(self, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        done = self.host.run(argv, stdin=stdin, timeout_s=timeout_s + 10)
        if done.code == locks.FENCED:
            raise LockedError(
                f"{self.name}: another deploy took the lock; this one stopped before its next step",
                hint="./ship status shows what runs now",
            )
        return done


def _checked(done: Completed, what: str) -> str:
    if done.code != 0:
        raise CommandError(
            f"{what} failed ({done.code}): {last_line(done)}", stderr=done.stderr[-4000:]
        )
    return done.stdout


def last_line(done: Completed) -> str:
    """Returns the last line that a command printed, of stderr if there is any; for nginx the last [emerg] line."""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    found = [line for line in lines if "[emerg]" in line] or lines
    return found[-1].strip() if found else "no output"
