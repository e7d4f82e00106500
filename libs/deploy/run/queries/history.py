"""Reads what the hosts' ledgers say of a service; never writes to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from deploy.core.commands import locks
from deploy.core.ports import Host
from deploy.core.state.ledger import (
    EXEC,
    Entry,
    broken_links,
    parse_ledger,
)
from deploy.errors import AuditError
from deploy.run.hosts.fanout import on_every


@dataclass(frozen=True)
class Operation:
    """One turn of the fleet: what was begun and how it ended ("interrupted" if no host says)."""

    entry: Entry
    hosts: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {**asdict(self.entry), "hosts": list(self.hosts)}


@dataclass(frozen=True)
class Executed:
    """A command in the replicas of one host; the entry's code is the worst of theirs."""

    host: str
    entry: Entry

    def document(self) -> dict[str, Any]:
        """Returns it for JSON."""
        told = self.entry
        return {
            "host": self.host,
            "when": told.when,
            "who": told.who,
            "release": told.release,
            "command": told.what,
            "exit_code": told.code,
            "pipeline": told.pipeline,
        }


def history(hosts: Sequence[Host], service: str) -> tuple[Operation, ...]:
    """Returns all operations on a service, oldest first, gathered from all hosts."""
    turns: dict[int, Operation] = {}
    for host, entries in zip(hosts, on_every(hosts, _entries), strict=True):
        for entry in entries:
            if entry.service == service and entry.event in ("begun", "ended"):
                turns[entry.turn] = _merged(turns.get(entry.turn), entry, host.name)
    return tuple(turns[turn] for turn in sorted(turns))


def executed(hosts: Sequence[Host], service: str) -> tuple[Executed, ...]:
    """Returns the commands that people ran in the service's replicas, oldest first, as each host has them."""
    found = [
        Executed(host.name, entry)
        for host, entries in zip(hosts, on_every(hosts, _entries), strict=True)
        for entry in entries
        if (entry.service, entry.event, entry.verb) == (service, "effect", EXEC)
    ]
    return tuple(sorted(found, key=lambda each: (each.entry.when, each.host)))


def _entries(host: Host) -> tuple[Entry, ...]:
    return parse_ledger((host.read(locks.LEDGER) or b"").decode(errors="replace"))


def verify(hosts: Sequence[Host]) -> dict[str, int]:
    """Returns how many lines each host's ledger has, when all are whole and as they were written.

    Raises AuditError with every line that was changed or before which one is missing.
    """
    lines, problems = {}, []
    for host in hosts:
        text = (host.read(locks.LEDGER) or b"").decode(errors="replace")
        seal = (host.read(locks.SEAL) or b"").decode(errors="replace")
        lines[host.name] = text.count("\n")
        problems += [f"{host.name}: line {number}" for number in broken_links(text, seal)]
    if problems:
        raise AuditError(
            f"the audit record is not as it was written, at or just before {', '.join(problems)}",
            hint=f"look at {locks.LEDGER} on that host, and at who could write to it",
        )
    return lines


def _merged(known: Operation | None, entry: Entry, host: str) -> Operation:
    if entry.event == "begun":
        entry = replace(entry, outcome="interrupted")
    if known is None:
        return Operation(entry, (host,))
    hosts = known.hosts if host in known.hosts else (*known.hosts, host)
    better = (
        known.entry if entry.outcome == "interrupted" else replace(entry, when=known.entry.when)
    )
    return Operation(better, hosts)
