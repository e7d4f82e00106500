"""Follows the logs of a service's replicas, or runs a command in them and yields its output.

Each host is one channel, however many replicas it runs (`core.commands.output_mux`). A command is recorded in the
ledger of each host on which it runs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

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
    """One line that a replica printed; `release` is that of the replica, "" in the output of a command."""

    host: str
    replica: str
    text: str
    release: str = ""


@dataclass(frozen=True)
class ExitCode:
    """The exit code of a command in a replica."""

    host: str
    replica: str
    code: int


@dataclass(frozen=True)
class ExecCommand:
    """A command to run in every live replica of a service, or in one replica, and who runs it.

    `recorded` is the command as the ledgers record it, without secrets. `when` is UTC in ISO 8601. `replica` is a name,
    or None for all.
    """

    service: str
    argv: tuple[str, ...]
    recorded: str
    who: str
    when: str
    replica: str | None = None
    pipeline: str = ""


type Output = LogLine | ExitCode
type _Queue = queue.Queue[Output | ShipError | None]


def logs(
    hosts: Sequence[Host], service: str, release: str | None = None, *, since: str, follow: bool
) -> Iterator[LogLine]:
    """Yields the lines of all replicas, or of those of one release, as they arrive, until all streams have ended."""
    chosen = [
        (
            host,
            [c for c in state.containers if c.service == service and release in (None, c.release)],
        )
        for host, state in zip(hosts, observe(hosts), strict=True)
    ]
    releases = {c.name: c.release for _, containers in chosen for c in containers}
    sources = [
        (host, output_mux.follow([c.name for c in found], since=since, endless=follow))
        for host, found in chosen
        if found
    ]
    for output in _merge(sources):
        if isinstance(output, LogLine):
            yield replace(output, release=releases.get(output.replica, ""))


def execute(hosts: Sequence[Host], command: ExecCommand) -> Iterator[Output]:
    """Runs a command and yields its lines and exit codes as they arrive.

    Raises UsageError if there is no replica to run it in, CommandError if a host can't record it.
    """
    service, replica = command.service, command.replica
    fleet = observe(hosts)
    chosen = [_chosen(state, service, replica) for state in fleet]
    if not any(chosen):
        running = sorted(
            c.name for state in fleet for c in state.containers if c.service == service
        )
        raise UsageError(
            f"{service} has no running {f'replica {replica}' if replica else 'live replica'}",
            hint=f"its replicas: {', '.join(running) or 'none'}",
        )
    yield from _merge(
        [
            (host, _in_each(found, command))
            for host, found in zip(hosts, chosen, strict=True)
            if found
        ]
    )


def _chosen(host: HostState, service: str, replica: str | None) -> list[Container]:
    running = [c for c in host.containers if c.service == service and c.state == "running"]
    if replica:
        return [c for c in running if replica in (c.name, c.replica)]
    live = [c for c in running if c.release == host.edge.live(service)]
    return sorted(live, key=lambda c: c.name)


def _in_each(replicas: Sequence[Container], command: ExecCommand) -> list[str]:
    entry = Entry(
        turn=0,  # a command belongs to no operation
        when=command.when,
        who=command.who,
        verb=EXEC,
        service=command.service,
        release=replicas[0].release,
        sequence=0,
        event="effect",
        pipeline=command.pipeline,
        what=command.recorded,
    )
    return output_mux.execute([replica.name for replica in replicas], command.argv, head_of(entry))


def _merge(sources: Sequence[tuple[Host, list[str]]]) -> Iterator[Output]:
    outputs: _Queue = queue.Queue(maxsize=10_000)
    for host, argv in sources:
        threading.Thread(target=_pump, args=(host, argv, outputs), daemon=True).start()
    left = len(sources)
    while left:
        match outputs.get():
            case ShipError() as error:
                raise error
            case None:
                left -= 1
            case output:
                yield output


def _pump(host: Host, argv: list[str], outputs: _Queue) -> None:
    """Puts a host's output into the queue, then None; an error before the None if the stream failed."""
    try:
        _read(host, argv, outputs.put)
    except ShipError as error:
        outputs.put(error)
    outputs.put(None)


def _read(host: Host, argv: list[str], put: Callable[[Output], None]) -> None:
    mux = output_mux.OutputMux()
    for line in host.stream(argv):
        match mux.feed(line):
            case output_mux.OutputLine(replica, text):
                put(LogLine(host.name, replica, text))
            case output_mux.Exited(replica, code):
                put(ExitCode(host.name, replica, code))
            case None:
                pass
