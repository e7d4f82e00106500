"""Gathers what all replicas of a service say, in their logs or when a command runs in them; never filters it.

Each host is one channel, however many replicas it runs (`core.chorus`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from deploy.core import chorus
from deploy.core.observed import Observed
from deploy.core.ports import Host
from deploy.errors import ShipError, UsageError
from deploy.run.observe import observe


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


type Heard = LogLine | ExitCode
type _Queue = queue.Queue[Heard | ShipError | None]


def logs(hosts: Sequence[Host], service: str, *, since: str, follow: bool) -> Iterator[LogLine]:
    """Yields lines as they come, of all replicas at once; ends when all have ended."""
    sources = [
        (host, chorus.follow(names, since=since, endless=follow))
        for host, seen in zip(hosts, observe(hosts), strict=True)
        if (names := [c.name for c in seen.containers if c.service == service])
    ]
    for heard in _listen(sources):
        if isinstance(heard, LogLine):
            yield heard


def execute(
    hosts: Sequence[Host], service: str, command: Sequence[str], *, replica: str = ""
) -> Iterator[Heard]:
    """Runs a command in every live replica, or in the one that is named; yields lines and ends as they come.

    Raises UsageError where there is none.
    """
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
            (host, chorus.execute(names, command))
            for host, names in zip(hosts, chosen, strict=True)
            if names
        ]
    )


def _chosen(seen: Observed, service: str, replica: str) -> list[str]:
    running = [c for c in seen.containers if c.service == service and c.state == "running"]
    if replica:
        return [c.name for c in running if replica in (c.name, c.replica)]
    return sorted(c.name for c in running if c.release == seen.edge.live(service))


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
    together = chorus.Chorus()
    for line in host.stream(argv):
        match together.take(line):
            case chorus.Spoken(replica, text):
                take(LogLine(host.name, replica, text))
            case chorus.Ended(replica, code):
                take(ExitCode(host.name, replica, code))
            case None:
                pass
