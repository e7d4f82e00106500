"""Gathers what all replicas of a service say, in their logs or when a command runs in them; never filters it.

Each host is one channel, however many replicas it runs (`core.commands.output_mux`). A command leaves a line in the
ledger of each host that it runs on.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from deploy.core.commands import output_mux
from deploy.core.ports import Host
from deploy.core.state.host import Container, HostState
from deploy.core.state.ledger import (
    EXEC,
    Entry,
    head_of,
)
from deploy.errors import ShipError, UsageError
from deploy.run.hosts.observe import observe


@dataclass(frozen=True)
class LogLine:
    """One line that a replica printed."""

    host: str
    replica: str
    text: str


@dataclass(frozen=True)
class ExitCode:
    """How a replica's command ended."""

    host: str
    replica: str
    code: int


@dataclass(frozen=True)
class ExecCommand:
    """What is to run in every live replica of a service, or in the one that is named, and who asks for it.

    `told` is the command as the ledgers have it, without secrets; `when` is UTC in ISO 8601.
    """

    service: str
    argv: tuple[str, ...]
    told: str
    who: str
    when: str
    replica: str = ""
    pipeline: str = ""


type Heard = LogLine | ExitCode
type _Queue = queue.Queue[Heard | ShipError | None]


def logs(hosts: Sequence[Host], service: str, *, since: str, follow: bool) -> Iterator[LogLine]:
    """Yields lines as they come, of all replicas at once; ends when all have ended."""
    sources = [
        (host, output_mux.follow(names, since=since, endless=follow))
        for host, seen in zip(hosts, observe(hosts), strict=True)
        if (names := [c.name for c in seen.containers if c.service == service])
    ]
    for heard in _listen(sources):
        if isinstance(heard, LogLine):
            yield heard


def execute(hosts: Sequence[Host], command: ExecCommand) -> Iterator[Heard]:
    """Runs a command; yields lines and ends as they come.

    Raises UsageError where there is no replica to run it in, CommandError where a host can't write it down.
    """
    service, replica = command.service, command.replica
    seen = observe(hosts)
    chosen = [_chosen(each, service, replica) for each in seen]
    if not any(chosen):
        running = sorted(c.name for each in seen for c in each.containers if c.service == service)
        raise UsageError(
            f"{service} has no {f'replica {replica}' if replica else 'live replica'} that runs",
            hint=f"its replicas: {', '.join(running) or 'none'}",
        )
    yield from _listen(
        [
            (host, _in_each(found, command))
            for host, found in zip(hosts, chosen, strict=True)
            if found
        ]
    )


def _chosen(seen: HostState, service: str, replica: str) -> list[Container]:
    running = [c for c in seen.containers if c.service == service and c.state == "running"]
    if replica:
        return [c for c in running if replica in (c.name, c.replica)]
    live = [c for c in running if c.release == seen.edge.live(service)]
    return sorted(live, key=lambda c: c.name)


def _in_each(replicas: Sequence[Container], command: ExecCommand) -> list[str]:
    entry = Entry(
        turn=0,  # it belongs to no operation
        when=command.when,
        who=command.who,
        verb=EXEC,
        service=command.service,
        release=replicas[0].release,
        sequence=0,
        event="effect",
        pipeline=command.pipeline,
        what=command.told,
    )
    return output_mux.execute([each.name for each in replicas], command.argv, head_of(entry))


def _listen(sources: Sequence[tuple[Host, list[str]]]) -> Iterator[Heard]:
    heard: _Queue = queue.Queue(maxsize=10_000)
    for host, argv in sources:
        threading.Thread(target=_pump, args=(host, argv, heard), daemon=True).start()
    left = len(sources)
    while left:
        match heard.get():
            case ShipError() as error:
                raise error
            case None:
                left -= 1
            case line:
                yield line


def _pump(host: Host, argv: list[str], heard: _Queue) -> None:
    try:
        _hear(host, argv, heard.put)
    except ShipError as error:
        heard.put(error)
    heard.put(None)


def _hear(host: Host, argv: list[str], take: Callable[[Heard], None]) -> None:
    together = output_mux.OutputMux()
    for line in host.stream(argv):
        match together.feed(line):
            case output_mux.OutputLine(replica, text):
                take(LogLine(host.name, replica, text))
            case output_mux.Exited(replica, code):
                take(ExitCode(host.name, replica, code))
            case None:
                pass
