"""Takes the locks of all hosts in order, all or none.

The lock is a kernel lock, held by a process on the host that ends with its connection: a dead deployer leaves nothing
to clean up.
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
from deploy.core.state.ledger import Entry, EntryEvent
from deploy.errors import CommandError, LockedError
from deploy.run.hosts.fanout import reach
from deploy.run.hosts.locked_host import LockedHost, last_line

QUEUE_EVERY_S = 1.0
SLACK_S = 60.0
"""How long after its time limit a command may still run: it is killed 5 s later, then recorded."""


@dataclass(frozen=True)
class _Refusal:
    """Why a lock was not taken. `is_temporary` for a dead deployer's command, which a time limit ends."""

    error: LockedError
    is_temporary: bool


@contextmanager
def lock_hosts(
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
    """Holds all hosts' locks while the context lives; yields the locked hosts by name.

    Raises LockedError that says who holds a lock and since when; with `wait` it waits instead, and `say` gets the
    reason. It always waits for commands that a dead deployer left running, up to the time limit of the longest command
    (that of a pull or, if longer, `longest_s` seconds) and SLACK_S. Raises HostUnreachableError, HostAuthError or
    HostKeyError, naming every such host, before any lock is taken. `redact` removes secrets from what the ledgers
    record.
    """
    reach(hosts)
    token = secrets.token_hex(16)
    announced, limit_s = "", max(PULL_DEADLINE_S, longest_s) + SLACK_S
    deadline: float | None = None
    while True:
        since = clock.now()
        holder = json.dumps(
            {"who": who, "since": since, "verb": verb, "pipeline": pipeline}, sort_keys=True
        )
        with ExitStack() as taken:
            refusal = _take_all(taken, hosts, token, holder)
            if refusal is None:
                entry = Entry(0, since, who, verb, "", "", 0, EntryEvent.BEGUN, pipeline=pipeline)
                yield {host.name: LockedHost(host, token, entry, redact) for host in hosts}
                return
        error = refusal.error
        if not refusal.is_temporary:
            deadline = None
            if not wait:
                raise error
        elif deadline is None:
            deadline = clock.monotonic() + limit_s
        elif clock.monotonic() > deadline:
            raise error
        if error.message != announced:
            announced = error.message
            say(f"waiting: {announced}")
        clock.sleep(QUEUE_EVERY_S)


def _take_all(taken: ExitStack, hosts: Sequence[Host], token: str, holder: str) -> _Refusal | None:
    """Takes the locks in the order of names, so that two deployers can't wait for each other."""
    for host in sorted(hosts, key=lambda host: host.name):
        ended = taken.enter_context(host.keep_running(locks.take(token, holder), expect="held"))
        if ended is None:
            continue
        if ended.code == locks.LOCK_TAKEN:
            return _Refusal(_locked_by(host, holder_of(host) or {}), is_temporary=False)
        if ended.code == locks.STRAGGLERS:
            error = LockedError(
                f"{host.name}: a command of a dead deployer is still running; nothing was changed",
                hint=f"its time limit should have ended it: find what holds {locks.EFFECTS} on {host.name} "
                f"(fuser), end it and run this again",
            )
            return _Refusal(error, is_temporary=True)
        raise CommandError(
            f"{host.name}: the lock can't be taken ({ended.code}): {last_line(ended)}"
        )
    return None


def holder_of(host: Host) -> dict[str, str] | None:
    """Returns who holds the host's lock, None if nobody does."""
    if host.run(locks.is_held()).code != locks.LOCK_TAKEN:
        return None
    return locks.parse_holder(host.run(locks.holder()).stdout)


def refuse_if_locked(hosts: Sequence[Host]) -> None:
    """Raises LockedError if any host is locked now; takes no lock. For a check before long work such as a build.

    Raises HostUnreachableError, HostAuthError or HostKeyError, naming every such host.
    """
    reach(hosts)
    for host in sorted(hosts, key=lambda host: host.name):
        if (holder := holder_of(host)) is not None:
            raise _locked_by(host, holder)


def _locked_by(host: Host, holder: Mapping[str, str]) -> LockedError:
    pipeline = f", pipeline {holder['pipeline']}" if holder.get("pipeline") else ""
    return LockedError(
        f"{host.name}: locked by {holder.get('who', 'somebody')} since {holder.get('since', 'just now')} "
        f"({holder.get('verb', 'deploy')}{pipeline}); nothing was changed",
        hint="wait for it to end and run this again, or add --wait",
    )
