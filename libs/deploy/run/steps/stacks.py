"""Starts and retires what runs beside the services of a host; never decides which, nor what an edge routes.

An edge starts beside the one that serves and shares its port: users are sent to either, so it is judged before it
starts, and goes again if it doesn't answer.
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
# The edge's own grace period (deploy/edge.yml) and a little.
RETIRE_LIMIT_S = 100.0


def start(held: LockedHost, clock: Clock, stack: Stack, *, preview_port: int) -> None:
    """Writes a part's files and starts it, once compose and its own image find nothing wrong with them.

    Raises VerifyError for files that are refused (nothing runs by them then) and for an edge that doesn't answer.
    """
    _write(held, stack)
    _analyse(held, stack)
    try:
        held.run_checked(stacks.start(stack), f"starting {stack.name}", timeout_s=90)
        if stack.beside:
            _await_edge(held, clock, stack, preview_port)
    except (CommandError, VerifyError) as error:
        error.message += _last_words(held, stack)
        _take_back(held, stack)
        raise


def retire(held: LockedHost, name: str, keys: tuple[str, ...]) -> None:
    """Stops parts of these keys, with all that they are at finished, and removes them."""
    what = f"retiring {name} {' '.join(keys)}"
    held.run_checked(stacks.retire(name, keys), what, timeout_s=RETIRE_LIMIT_S)


def remove(held: LockedHost, name: str) -> None:
    """Stops and removes a whole stack with its files. Raises CommandError."""
    held.run_checked(stacks.remove(name), f"removing {name}", timeout_s=RETIRE_LIMIT_S)


def _write(held: LockedHost, stack: Stack) -> None:
    folder = f"{paths.ROOT}/{stack.name}"
    told = f"PART_IMAGE={stack.image}\nPART_KEY={stack.key}\n{stack.settings}"
    tar = files.tar_of((*stack.files, (f"{stack.home}.env", told, 0o644)))
    held.run_checked(files.overlay(folder), f"writing {stack.name}'s files", stdin=tar)
    if stack.seeds:
        seeds = files.tar_of(stack.seeds)
        held.run_checked(files.seed(folder), f"writing what {stack.name} begins with", stdin=seeds)


def _analyse(held: LockedHost, stack: Stack) -> None:
    for argv in (stacks.check_compose(stack), *_checks(stack)):
        done = held.host.run(argv)
        if done.code != 0:
            raise VerifyError(
                f"{held.name}: the files of {stack.name} are refused, nothing runs by them: {last_line(done)}",
                hint="mend them under deploy/ and run this again",
            )


def _checks(stack: Stack) -> list[list[str]]:
    return [stacks.check_files(stack)] if stack.check else []


def _await_edge(held: LockedHost, clock: Clock, stack: Stack, preview_port: int) -> None:
    if not wait_until(
        lambda: stack.key in edges.answering(held.host, preview_port),
        clock,
        deadline_s=START_DEADLINE_S,
    ):
        raise VerifyError(f"{held.name}: the new {stack.name} doesn't answer")


def _last_words(held: LockedHost, stack: Stack) -> str:
    """What the container said last, "" if that can't be told."""
    try:
        said = held.host.run(docker.logs(f"{stack.project}", tail=3)) if stack.beside else None
    except ShipError:
        return ""
    return f": {last_line(said)}" if said and said.code == 0 else ""


def _take_back(held: LockedHost, stack: Stack) -> None:
    """A new edge that doesn't serve goes, if another one does; what fails here is told by the next look."""
    if not stack.beside:
        return
    try:
        if set(edges.accepting(held.host) or ()) - {stack.key}:
            retire(held, stack.name, (stack.key,))
    except ShipError:
        return
