"""A host whose effects happen only while the lock is held; never decides what they are.

Reading goes through as it is. Each effect runs under a shared lock of its own, with a time limit and only for
the holder's token, so a deployer that lost its lock can't go on, and the next one waits for what still runs. The host
writes each into its ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from deploy.core.commands import locks
from deploy.core.ports import Completed, Host
from deploy.core.state.ledger import Entry, head_of
from deploy.errors import CommandError, LockedError


class LockedHost:
    """A host under the lock. `run` returns any outcome, `run_checked` raises CommandError for a failure.

    `entry` is the operation that the effects belong to; `redact` takes secrets out of what the ledger is told.
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

    def under(self, entry: Entry) -> LockedHost:
        """Returns the same host, its effects belonging to another operation."""
        return LockedHost(self.host, self._token, entry, self._redact)

    def run(
        self, argv: Sequence[str], what: str, *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> Completed:
        """Runs a command that changes something. Raises LockedError if the lock was lost."""
        head = self._head_of(replace(self._entry, event="effect", what=what))
        return self._guarded(locks.effect(self._token, head, argv, timeout_s), stdin, timeout_s)

    def run_checked(
        self, argv: Sequence[str], what: str, *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> str:
        """Runs a command that must succeed; returns what it printed."""
        done = self.run(argv, what, stdin=stdin, timeout_s=timeout_s)
        return _whole(done, f"{self.name}: {what}")

    def record(self, entry: Entry) -> None:
        """Adds an entry to the host's ledger. Raises CommandError, and LockedError if the lock was lost."""
        done = self._guarded(locks.note(self._token, self._head_of(entry)), b"", 30.0)
        _whole(done, f"{self.name}: writing the ledger")

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


def _whole(done: Completed, what: str) -> str:
    if done.code != 0:
        raise CommandError(
            f"{what} failed ({done.code}): {last_line(done)}", stderr=done.stderr[-4000:]
        )
    return done.stdout


def last_line(done: Completed) -> str:
    """Returns the last line that a command had to say, errors first; of nginx's, the one that names the matter."""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    found = [line for line in lines if "[emerg]" in line] or lines
    return found[-1].strip() if found else "it said nothing"
