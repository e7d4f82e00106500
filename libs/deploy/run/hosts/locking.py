"""Takes the lock of every host, in order, all or none; never keeps some while it waits for another.

The lock is the kernel's, held by a process on the host that ends with its connection: a dead deployer leaves
nothing to clean up.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from deploy.core.commands import locks
from deploy.core.commands.docker import PULL_DEADLINE_S
from deploy.core.ports import Clock, Host
from deploy.core.state.ledger import Entry
from deploy.errors import CommandError, LockedError
from deploy.run.hosts.fanout import reach
from deploy.run.hosts.locked_host import LockedHost, last_line

QUEUE_EVERY_S = 1.0
SLACK_S = 60.0
"""How much longer than its limit a command may take to be gone: it is killed 5 s after that, and written down."""


@dataclass(frozen=True)
class _Refusal:
    """Why a lock was not taken. What a dead deployer left running ends by itself; a living holder may not."""

    error: LockedError
    ends_by_itself: bool


@contextmanager
def locked(
    hosts: Sequence[Host],
    *,
    who: str,
    verb: str,
    pipeline: str,
    clock: Clock,
    say: Callable[[str], None],
    wait: bool = False,
    longest_s: float = 0.0,
    redact: Callable[[str], str] = str,
) -> Iterator[dict[str, LockedHost]]:
    """Holds all hosts' locks for as long as the context lives; yields them by name.

    Raises LockedError with who holds it and since when; with `wait` it waits instead, and `say` is told for whom.
    What a deployer that is gone left running is always waited for: as long as the longest command may take, which is a
    pull or, if that is longer, `longest_s` seconds, and SLACK_S. Raises HostUnreachableError, HostAuthError,
    HostKeyError that name every host they are true of, before any lock is taken. `redact` takes secrets out of what the
    ledgers are told.
    """
    reach(hosts)
    token = secrets.token_hex(16)
    told, most_s = "", max(PULL_DEADLINE_S, longest_s) + SLACK_S
    deadline: float | None = None
    while True:
        since = clock.now()
        holder = json.dumps(
            {"who": who, "since": since, "verb": verb, "pipeline": pipeline}, sort_keys=True
        )
        with ExitStack() as held:
            refused = _take_all(held, hosts, token, holder)
            if refused is None:
                entry = Entry(0, since, who, verb, "", "", 0, "begun", pipeline=pipeline)
                yield {host.name: LockedHost(host, token, entry, redact) for host in hosts}
                return
        error = refused.error
        if not refused.ends_by_itself:
            deadline = None
            if not wait:
                raise error
        elif deadline is None:
            deadline = clock.monotonic() + most_s
        elif clock.monotonic() > deadline:
            raise error
        if error.message != told:
            told = error.message
            say(f"waits: {told}")
        clock.sleep(QUEUE_EVERY_S)


def _take_all(held: ExitStack, hosts: Sequence[Host], token: str, holder: str) -> _Refusal | None:
    """Takes the locks in the order of names, so that two can't wait for each other; returns who refused one."""
    for host in sorted(hosts, key=lambda each: each.name):
        ended = held.enter_context(host.hold(locks.hold(token, holder), expect="held"))
        if ended is None:
            continue
        if ended.code == locks.LOCK_TAKEN:
            return _Refusal(_taken(host), ends_by_itself=False)
        if ended.code == locks.STRAGGLERS:
            left = LockedError(
                f"{host.name}: a command of a deployer that is gone still runs; nothing was changed",
                hint=f"its time limit should have ended it: find what holds {locks.EFFECTS} on {host.name} "
                f"(fuser), end it and run this again",
            )
            return _Refusal(left, ends_by_itself=True)
        raise CommandError(
            f"{host.name}: the lock can't be taken ({ended.code}): {last_line(ended)}"
        )
    return None


def holder_of(host: Host) -> dict[str, str] | None:
    """Returns who holds the host's lock, None if nobody does."""
    if host.run(locks.is_held()).code != locks.LOCK_TAKEN:
        return None
    try:
        found = json.loads(host.read(locks.HOLDER) or b"{}")
    except ValueError:
        found = {}
    return {key: str(value) for key, value in found.items()}


def refuse_if_taken(hosts: Sequence[Host]) -> None:
    """Raises LockedError where one is held now: a look before long work, which takes none.

    Raises HostUnreachableError, HostAuthError, HostKeyError that name every host they are true of.
    """
    reach(hosts)
    for host in sorted(hosts, key=lambda each: each.name):
        if (found := holder_of(host)) is not None:
            raise _refused(host, found)


def _taken(host: Host) -> LockedError:
    return _refused(host, holder_of(host) or {})


def _refused(host: Host, found: Mapping[str, str]) -> LockedError:
    pipeline = f", pipeline {found['pipeline']}" if found.get("pipeline") else ""
    return LockedError(
        f"{host.name}: locked by {found.get('who', 'somebody')} since {found.get('since', 'just now')} "
        f"({found.get('verb', 'deploy')}{pipeline}); nothing was changed",
        hint="wait for it to end and run this again, or add --wait",
    )
