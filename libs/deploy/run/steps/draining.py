"""Leaves replicas to the host to drain, takes them back, and waits for connections where the host can't."""

from __future__ import annotations

from dataclasses import replace

from deploy.core.commands import draining
from deploy.core.planning.steps import AwaitDrained, BeginDraining, EndDraining
from deploy.core.ports import Clock
from deploy.core.state.draining import DrainEnd, Draining, dump_drain_end, dump_draining
from deploy.core.state.ledger import Entry, EntryEvent
from deploy.errors import CommandError
from deploy.run.hosts.locked_host import LockedHost, last_line
from deploy.run.steps import edges


def begin(locked: LockedHost, step: BeginDraining, turn: int) -> None:
    """Writes the record of a drain that begins now. Raises CommandError."""
    looked = locked.host.run(draining.look())
    time, _, processes = looked.stdout.partition("\n")
    try:
        now_s = float(time)
    except ValueError as error:
        raise CommandError(f"{locked.name}: its time can't be read: {last_line(looked)}") from error
    # Workers that can't be listed don't count as gone: then only drain_s ends the drain.
    workers = edges.draining_workers(processes) if looked.code == 0 else None
    record = Draining(
        step.service, step.release, turn, step.replicas, now_s, now_s + step.drain_s, workers
    )
    text = dump_draining(record).encode() + b"\n"
    argv = draining.begin(step.service, step.release, len(text))
    locked.run_checked(argv, f"leaving {step.service} {step.release} to drain", stdin=text)


def end(locked: LockedHost, step: EndDraining) -> None:
    """Removes the record of a drain and the replicas that were signalled. Raises CommandError."""
    argv = draining.cancel(step.service, step.release)
    locked.run_checked(argv, f"ending the drain of {step.service} {step.release}")


def wait(locked: LockedHost, clock: Clock, step: AwaitDrained, entry: Entry) -> bool:
    """Waits until connections have drained, and records for how long; returns whether they have.

    Raises VerifyError if the edges' processes can't be listed.
    """
    begun = clock.monotonic()
    drained = edges.await_drained(locked.host, clock, deadline_s=step.deadline_s)
    seconds = round(clock.monotonic() - begun, 3)
    what = dump_drain_end(DrainEnd(0))
    event = EntryEvent.DRAINED
    locked.record(replace(entry, event=event, outcome="", seconds=seconds, what=what))
    return drained
