"""Starts and retires what runs beside the services of a host; never decides which, nor what an edge routes.

An edge starts beside the one that serves and shares its port: users are sent to either, so it is judged before it
starts, and goes again if it doesn't answer.
"""

from __future__ import annotations

from deploy.core.commands import docker, files, paths, stacks
from deploy.core.ports import Clock
from deploy.core.state.stack import Part
from deploy.errors import CommandError, ShipError, VerifyError
from deploy.run.hosts.locked_host import HeldHost, last_line
from deploy.run.hosts.waiting import wait_until
from deploy.run.steps import edges

START_DEADLINE_S = 20.0
# The edge's own grace period (deploy/edge.yml) and a little.
RETIRE_LIMIT_S = 100.0


def start(held: HeldHost, clock: Clock, part: Part, *, preview_port: int) -> None:
    """Writes a part's files and starts it, once compose and its own image find nothing wrong with them.

    Raises VerifyError for files that are refused (nothing runs by them then) and for an edge that doesn't answer.
    """
    _write(held, part)
    _judge(held, part)
    try:
        held.must(stacks.start(part), f"starting {part.name}", timeout_s=90)
        if part.beside:
            _await_edge(held, clock, part, preview_port)
    except (CommandError, VerifyError) as error:
        error.message += _last_words(held, part)
        _take_back(held, part)
        raise


def retire(held: HeldHost, name: str, keys: tuple[str, ...]) -> None:
    """Stops parts of these keys, with all that they are at finished, and removes them."""
    what = f"retiring {name} {' '.join(keys)}"
    held.must(stacks.retire(name, keys), what, timeout_s=RETIRE_LIMIT_S)


def remove(held: HeldHost, name: str) -> None:
    """Stops and removes a whole stack with its files. Raises CommandError."""
    held.must(stacks.remove(name), f"removing {name}", timeout_s=RETIRE_LIMIT_S)


def _write(held: HeldHost, part: Part) -> None:
    folder = f"{paths.ROOT}/{part.name}"
    told = f"PART_IMAGE={part.image}\nPART_KEY={part.key}\n{part.settings}"
    tar = files.tar_of((*part.files, (f"{part.home}.env", told, 0o644)))
    held.must(files.overlay(folder), f"writing {part.name}'s files", stdin=tar)
    if part.seeds:
        seeds = files.tar_of(part.seeds)
        held.must(files.seed(folder), f"writing what {part.name} begins with", stdin=seeds)


def _judge(held: HeldHost, part: Part) -> None:
    for argv in (stacks.check_compose(part), *_checks(part)):
        done = held.host.run(argv)
        if done.code != 0:
            raise VerifyError(
                f"{held.name}: the files of {part.name} are refused, nothing runs by them: {last_line(done)}",
                hint="mend them under deploy/ and run this again",
            )


def _checks(part: Part) -> list[list[str]]:
    return [stacks.check_files(part)] if part.check else []


def _await_edge(held: HeldHost, clock: Clock, part: Part, preview_port: int) -> None:
    if not wait_until(
        lambda: part.key in edges.answering(held.host, preview_port),
        clock,
        deadline_s=START_DEADLINE_S,
    ):
        raise VerifyError(f"{held.name}: the new {part.name} doesn't answer")


def _last_words(held: HeldHost, part: Part) -> str:
    """What the container said last, "" if that can't be told."""
    try:
        said = held.host.run(docker.logs(f"{part.project}", tail=3)) if part.beside else None
    except ShipError:
        return ""
    return f": {last_line(said)}" if said and said.code == 0 else ""


def _take_back(held: HeldHost, part: Part) -> None:
    """A new edge that doesn't serve goes, if another one does; what fails here is told by the next look."""
    if not part.beside:
        return
    try:
        if set(edges.accepting(held.host) or ()) - {part.key}:
            retire(held, part.name, (part.key,))
    except ShipError:
        return
