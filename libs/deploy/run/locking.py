"""Takes the lock of every host, in order, all or none; never waits for what it can refuse.

The lock is the kernel's, held by a process on the host that ends with its connection: a dead deployer leaves
nothing to clean up.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from deploy.core import locks
from deploy.core.ledger import Entry
from deploy.core.ports import Clock, Host
from deploy.errors import CommandError, LockedError
from deploy.run.guard import HeldHost, last_line


@contextmanager
def locked(
    hosts: Sequence[Host], *, who: str, verb: str, pipeline: str, clock: Clock
) -> Iterator[dict[str, HeldHost]]:
    """Holds all hosts' locks for as long as the context lives; yields them by name.

    Raises LockedError with who holds it and since when.
    """
    token = secrets.token_hex(16)
    since = clock.now()
    holder = json.dumps(
        {"who": who, "since": since, "verb": verb, "pipeline": pipeline}, sort_keys=True
    )
    with ExitStack() as held:
        for host in sorted(hosts, key=lambda each: each.name):
            ended = held.enter_context(host.hold(locks.hold(token, holder), expect="held"))
            if ended is not None and ended.code == locks.LOCK_TAKEN:
                raise LockedError(_refusal(host), hint="wait for it to end and run this again")
            if ended is not None and ended.code == locks.STRAGGLERS:
                raise LockedError(
                    f"{host.name}: a command of a deployer that is gone still runs",
                    hint="it ends by its time limit; run this again in a minute",
                )
            if ended is not None:
                raise CommandError(
                    f"{host.name}: the lock can't be taken ({ended.code}): {last_line(ended)}"
                )
        entry = Entry(0, since, who, verb, "", "", 0, "begun", pipeline=pipeline)
        yield {host.name: HeldHost(host, token, entry) for host in hosts}


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
