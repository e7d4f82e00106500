"""Runs a release's task on a host and records the end of its output in the ledger."""

from __future__ import annotations

from dataclasses import replace

from deploy.core.commands import docker
from deploy.core.planning.steps import RunTask
from deploy.core.ports import Clock
from deploy.core.state.ledger import Entry, EntryEvent
from deploy.errors import TaskError
from deploy.run.hosts.locked_host import LockedHost

KEPT_LINES, KEPT_CHARACTERS = 20, 2000
TIMED_OUT = (124, 137)


def run_task(locked: LockedHost, step: RunTask, entry: Entry, clock: Clock) -> None:
    """Runs the task to its end. Raises TaskError, with its last lines, if it fails or exceeds its time limit."""
    begun, limit_s = clock.monotonic(), step.task.timeout_s
    done = locked.run(
        docker.run_task(step.release, step.name, step.task.command),
        f"{step.name} of {step.release.id}",
        timeout_s=limit_s,
    )
    output = "\n".join(done.stdout.strip().splitlines()[-KEPT_LINES:])[-KEPT_CHARACTERS:]
    outcome = "done" if done.code == 0 else "failed"
    seconds = round(clock.monotonic() - begun, 3)
    ended = replace(entry, event=EntryEvent.TASK, what=step.name, outcome=outcome, why=output)
    locked.record(replace(ended, seconds=seconds))
    if done.code != 0:
        how = f"ran longer than {limit_s:g} s" if done.code in TIMED_OUT else f"exited {done.code}"
        lines = "".join(f"\n  {line[:300]}" for line in output.splitlines())
        raise TaskError(f"{locked.name}: {step.name} of {step.release.id} {how}{lines}")
