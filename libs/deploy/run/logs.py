"""Gathers log lines of all replicas of a service; never filters them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploy.core.observed import Container
from deploy.core.ports import Host
from deploy.errors import ShipError
from deploy.run.observe import observe


@dataclass(frozen=True)
class LogLine:
    """One line that a replica printed."""

    host: str
    replica: str
    text: str


def logs(hosts: Sequence[Host], service: str, *, since: str, follow: bool) -> Iterator[LogLine]:
    """Yields lines as they come, of all replicas at once; ends when all have ended."""
    lines: queue.Queue[LogLine | ShipError | None] = queue.Queue(maxsize=10_000)
    sources = [
        (host, container)
        for host, seen in zip(hosts, observe(hosts), strict=True)
        for container in seen.containers
        if container.service == service
    ]
    for host, container in sources:
        pump = threading.Thread(
            target=_pump, args=(host, container, since, follow, lines), daemon=True
        )
        pump.start()
    left = len(sources)
    while left:
        line = lines.get()
        if isinstance(line, ShipError):
            raise line
        if line is None:
            left -= 1
        else:
            yield line


def _pump(
    host: Host,
    container: Container,
    since: str,
    follow: bool,
    lines: queue.Queue[LogLine | ShipError | None],
) -> None:
    argv = [
        "sh",
        "-c",
        'exec docker logs "$@" 2>&1',
        "logs",
        "--since",
        since,
        *(["--follow"] if follow else []),
    ]
    try:
        for text in host.stream([*argv, container.name]):
            lines.put(LogLine(host.name, container.name, text.rstrip("\n")))
    except ShipError as error:
        lines.put(error)
    lines.put(None)
