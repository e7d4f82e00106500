"""A host whose effects happen only while the lock is held; never decides what they are.

Reading goes through as it is. Each effect runs under a shared lock of its own, with a time limit and only for
the holder's token, so a deployer that lost its lock can't go on, and the next one waits for what still runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy.core import commands
from deploy.core.ports import Completed, Host
from deploy.errors import CommandError, LockedError


class HeldHost:
    """A host under the lock. `effect` returns any outcome, `must` raises CommandError for a failure."""

    def __init__(self, host: Host, token: str) -> None:
        self.host = host
        self._token = token

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name

    def effect(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> Completed:
        """Runs a command that changes something. Raises LockedError if the lock was lost."""
        guarded = commands.effect(self._token, argv, timeout_s)
        done = self.host.run(guarded, stdin=stdin, timeout_s=timeout_s + 10)
        if done.code == commands.FENCED:
            raise LockedError(
                f"{self.name}: another deploy took the lock; this one stopped before its next step",
                hint="./ship status shows what runs now",
            )
        return done

    def must(
        self, argv: Sequence[str], what: str, *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> str:
        """Runs a command that must succeed; returns what it printed."""
        done = self.effect(argv, stdin=stdin, timeout_s=timeout_s)
        if done.code != 0:
            raise CommandError(
                f"{self.name}: {what} failed ({done.code}): {last_line(done)}",
                stderr=done.stderr[-4000:],
            )
        return done.stdout


def last_line(done: Completed) -> str:
    """Returns the last line that a command had to say, errors first."""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1].strip() if lines else "it said nothing"
