"""Reads the history of a service from the hosts' ledgers, and checks that the ledgers are intact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from deploy.core.commands import locks
from deploy.core.ports import Host
from deploy.core.state.draining import parse_drain_end
from deploy.core.state.ledger import (
    EXEC,
    Entry,
    EntryEvent,
    broken_links,
    parse_ledger,
)
from deploy.errors import AuditError
from deploy.run.hosts.fanout import on_every
from deploy.run.hosts.observe import read_host


@dataclass(frozen=True)
class Drain:
    """How the replicas that an operation replaced ended: after how long on the slowest host, and requests cut by it."""

    seconds: float
    cut: int


@dataclass(frozen=True)
class Operation:
    """An operation on the fleet and its outcome, "interrupted" if no host recorded its end.

    `drain` is None if nothing drained, or hasn't ended yet.
    """

    entry: Entry
    hosts: tuple[str, ...]
    drain: Drain | None = None

    def document(self) -> dict[str, Any]:
        """Returns the JSON document of it. `durations` has each by its name, in seconds."""
        durations = {"command": self.entry.seconds}
        if self.drain is not None:
            durations["drain"] = self.drain.seconds
        cut = self.drain.cut if self.drain is not None else 0
        hosts = list(self.hosts)
        return {**asdict(self.entry), "hosts": hosts, "durations": durations, "requests_cut": cut}


@dataclass(frozen=True)
class Executed:
    """A command that ran in the replicas of one host. The entry has the highest of their exit codes."""

    host: str
    entry: Entry

    def document(self) -> dict[str, Any]:
        """Returns the JSON document of it."""
        entry = self.entry
        return {
            "host": self.host,
            "when": entry.when,
            "who": entry.who,
            "release": entry.release,
            "command": entry.what,
            "exit_code": entry.code,
            "pipeline": entry.pipeline,
        }


def history(hosts: Sequence[Host], service: str) -> tuple[Operation, ...]:
    """Returns all operations on a service, oldest first, merged from all hosts."""
    turns: dict[int, Operation] = {}
    drained: dict[tuple[int, str, str], Entry] = {}
    for host, entries in zip(hosts, on_every(hosts, _entries), strict=True):
        for entry in entries:
            if entry.service == service and entry.event in ("begun", "ended"):
                turns[entry.turn] = _merged(turns.get(entry.turn), entry, host.name)
            if entry.service == service and entry.event == EntryEvent.DRAINED:
                # A watchdog that ended after it had written this wrote it again.
                drained.setdefault((entry.turn, host.name, entry.release), entry)
    return tuple(replace(turns[turn], drain=_drain(turn, drained)) for turn in sorted(turns))


def drain_of(operations: Sequence[Operation]) -> Drain | None:
    """Returns the drain of the last operation that had one."""
    return next((each.drain for each in reversed(operations) if each.drain is not None), None)


def _drain(turn: int, drained: Mapping[tuple[int, str, str], Entry]) -> Drain | None:
    found = [entry for (of, _, _), entry in drained.items() if of == turn]
    if not found:
        return None
    cut = sum(parse_drain_end(entry.what).cut for entry in found)
    return Drain(max(entry.seconds for entry in found), cut)


def executed(hosts: Sequence[Host], service: str) -> tuple[Executed, ...]:
    """Returns the commands that people ran in the service's replicas, oldest first, once for each host."""
    found = [
        Executed(host.name, entry)
        for host, entries in zip(hosts, on_every(hosts, _entries), strict=True)
        for entry in entries
        if (entry.service, entry.event, entry.verb) == (service, "effect", EXEC)
    ]
    return tuple(sorted(found, key=lambda command: (command.entry.when, command.host)))


def _entries(host: Host) -> tuple[Entry, ...]:
    return parse_ledger((host.read(locks.LEDGER) or b"").decode(errors="replace"))


def verify(hosts: Sequence[Host]) -> dict[str, int]:
    """Returns the number of lines in each host's ledger if all ledgers are intact.

    Raises AuditError with the number of every line that was changed or follows a missing one.
    """
    lines, problems = {}, []
    for host in hosts:
        # The seal first: it must not be of a line that was written after the ledger was read.
        seal = (host.read(locks.SEAL) or b"").decode(errors="replace")
        text = (host.read(locks.LEDGER) or b"").decode(errors="replace")
        lines[host.name] = text.count("\n")
        broken = [f"{host.name}: line {number}" for number in broken_links(text, seal)]
        damage = () if broken else read_host(host).damage
        problems += [
            *broken,
            *(f"{host.name}: {each.what}" for each in damage if not (each.of_edge or each.newer)),
        ]
    if problems:
        raise AuditError(
            f"ledger lines were changed or removed, at or just before {', '.join(problems)}",
            hint=f"inspect {locks.LEDGER} on that host, and who could write to it",
        )
    return lines


def _merged(known: Operation | None, entry: Entry, host: str) -> Operation:
    if entry.event == EntryEvent.BEGUN:
        entry = replace(entry, outcome="interrupted")
    if known is None:
        return Operation(entry, (host,))
    hosts = known.hosts if host in known.hosts else (*known.hosts, host)
    merged = (
        known.entry if entry.outcome == "interrupted" else replace(entry, when=known.entry.when)
    )
    return Operation(merged, hosts)
