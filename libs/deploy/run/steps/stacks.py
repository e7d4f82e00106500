"""Starts and stops the stacks of a host.

A new edge starts beside the running one and shares its port, so users reach either. Therefore its files are checked
before it starts, and it is removed again if it doesn't answer.
"""

from __future__ import annotations

from deploy.core.commands import docker, files, paths, stacks
from deploy.core.ports import Clock
from deploy.core.state.stack import Stack
from deploy.errors import CommandError, ShipError, VerifyError
from deploy.run.hosts.locked_host import LockedHost, last_line
from deploy.run.hosts.waiting import wait_until
from deploy.run.steps import edges

START_DEADLINE_S = 20.0
# A little longer than the edge's grace period (deploy/edge.yml).
STOP_LIMIT_S = 100.0


def start(locked: LockedHost, clock: Clock, stack: Stack, *, preview_port: int) -> None:
    """Writes a stack's files, lets compose and the stack's own image check them, and starts it.

    Raises VerifyError if the files are refused, which starts nothing, or if a new edge doesn't answer.
    """
    _write(locked, stack)
    _check(locked, stack)
    try:
        locked.run_checked(stacks.start(stack), f"starting {stack.name}", timeout_s=90)
        if stack.side_by_side:
            _await_edge(locked, clock, stack, preview_port)
    except (CommandError, VerifyError) as error:
        error.message += _last_log_line(locked, stack)
        _remove_new_edge(locked, stack)
        raise


def stop(locked: LockedHost, name: str, keys: tuple[str, ...]) -> None:
    """Stops the stacks with these keys, once their requests in flight have finished, and removes them."""
    what = f"stopping {name} {' '.join(keys)}"
    locked.run_checked(stacks.stop(name, keys), what, timeout_s=STOP_LIMIT_S)


def remove(locked: LockedHost, name: str) -> None:
    """Stops and removes a whole stack with its files. Raises CommandError."""
    locked.run_checked(stacks.remove(name), f"removing {name}", timeout_s=STOP_LIMIT_S)


def _write(locked: LockedHost, stack: Stack) -> None:
    folder = f"{paths.ROOT}/{stack.name}"
    settings = f"PART_IMAGE={stack.image}\nPART_KEY={stack.key}\n{stack.settings}"
    tar = files.tar_of((*stack.files, (f"{stack.folder}.env", settings, 0o644)))
    locked.run_checked(files.overlay(folder), f"writing {stack.name}'s files", stdin=tar)
    if stack.initial_files:
        initial = files.tar_of(stack.initial_files)
        what = f"writing {stack.name}'s initial files"
        locked.run_checked(files.seed(folder), what, stdin=initial)


def _check(locked: LockedHost, stack: Stack) -> None:
    for argv in (stacks.check_compose(stack), *_checks(stack)):
        done = locked.host.run(argv)
        if done.code != 0:
            raise VerifyError(
                f"{locked.name}: the files of {stack.name} were refused and it was not started: {last_line(done)}",
                hint="fix them under deploy/ and run this again",
            )


def _checks(stack: Stack) -> list[list[str]]:
    return [stacks.check_files(stack)] if stack.check else []


def _await_edge(locked: LockedHost, clock: Clock, stack: Stack, preview_port: int) -> None:
    if not wait_until(
        lambda: stack.key in edges.answering(locked.host, preview_port),
        clock,
        deadline_s=START_DEADLINE_S,
    ):
        raise VerifyError(f"{locked.name}: the new {stack.name} doesn't answer")


def _last_log_line(locked: LockedHost, stack: Stack) -> str:
    """Returns `: ` and the last line of a new edge's log, "" if it can't be read."""
    if not stack.side_by_side:
        return ""
    try:
        done = locked.host.run(docker.logs(stack.project, tail=3))
    except ShipError:
        return ""
    return f": {last_line(done)}" if done.code == 0 else ""


def _remove_new_edge(locked: LockedHost, stack: Stack) -> None:
    """Stops a new edge if another one serves. Ignores failures: the next snapshot shows the edge."""
    if not stack.side_by_side:
        return
    try:
        if set(edges.accepting(locked.host) or ()) - {stack.key}:
            stop(locked, stack.name, (stack.key,))
    except ShipError:
        return
