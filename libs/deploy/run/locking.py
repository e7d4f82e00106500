"""Takes the lock of every host, in order, all or none; never keeps some while it waits for another.

The lock is the kernel's, held by a process on the host that ends with its connection: a dead deployer leaves
nothing to clean up.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from deploy.core import locks
from deploy.core.ledger import Entry
from deploy.core.ports import Clock, Host
from deploy.errors import CommandError, LockedError
from deploy.run.fanout import reach
from deploy.run.guard import HeldHost, last_line

QUEUE_EVERY_S = 1.0


@contextmanager
def locked(
    hosts: Sequence[Host],
    *,
    who: str,
    verb: str,
    pipeline: str,
    clock: Clock,
    queue: Callable[[str], None] | None = None,
    redact: Callable[[str], str] = str,
) -> Iterator[dict[str, HeldHost]]:
    """Holds all hosts' locks for as long as the context lives; yields them by name.

    Raises LockedError with who holds it and since when; with `queue` it waits instead, and `queue` is told for whom.
    Raises HostUnreachableError, HostAuthError, HostKeyError that name every host they are true of, before any lock is
    taken. `redact` takes secrets out of what the ledgers are told.
    """
    reach(hosts)
    token = secrets.token_hex(16)
    told = ""
    while True:
        since = clock.now()
        holder = json.dumps(
            {"who": who, "since": since, "verb": verb, "pipeline": pipeline}, sort_keys=True
        )
        with ExitStack() as held:
            refused = _take_all(held, hosts, token, holder)
            if refused is None:
                entry = Entry(0, since, who, verb, "", "", 0, "begun", pipeline=pipeline)
                yield {host.name: HeldHost(host, token, entry, redact) for host in hosts}
                return
        if queue is None:
            raise refused
        if refused.message != told:
            told = refused.message
            queue(f"waits: {told}")
        clock.sleep(QUEUE_EVERY_S)


def _take_all(
    held: ExitStack, hosts: Sequence[Host], token: str, holder: str
) -> LockedError | None:
    """Takes the locks in the order of names, so that two can't wait for each other; returns who refused one."""
    for host in sorted(hosts, key=lambda each: each.name):
        ended = held.enter_context(host.hold(locks.hold(token, holder), expect="held"))
        if ended is None:
            continue
        if ended.code == locks.LOCK_TAKEN:
            return LockedError(
                _refusal(host), hint="wait for it to end and run this again, or add --wait"
            )
        if ended.code == locks.STRAGGLERS:
            return LockedError(
                f"{host.name}: a command of a deployer that is gone still runs; nothing was changed",
                hint="it ends by its time limit; run this again in a minute",
            )
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


def _refusal(host: Host) -> str:
    found = holder_of(host) or {}
    pipeline = f", pipeline {found['pipeline']}" if found.get("pipeline") else ""
    return (
        f"{host.name}: locked by {found.get('who', 'somebody')} since {found.get('since', 'just now')} "
        f"({found.get('verb', 'deploy')}{pipeline}); nothing was changed"
    )
