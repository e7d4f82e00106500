"""Reads the logs that hosts kept of removed replicas."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from deploy.core.commands import kept_logs
from deploy.core.ports import Host
from deploy.core.state.release import ID
from deploy.errors import CommandError
from deploy.run.hosts.fanout import on_every
from deploy.run.hosts.locked_host import last_line
from deploy.run.queries.logs import LogLine


def releases_with_logs(hosts: Sequence[Host], service: str) -> frozenset[str]:
    """Returns the ids of all releases of which some host has kept logs."""

    def listed(host: Host) -> list[str]:
        lines = host.run(kept_logs.list_kept(service)).stdout.split()
        return [line for line in lines if ID.fullmatch(line)]

    return frozenset(chain.from_iterable(on_every(hosts, listed)))


def kept_lines(
    hosts: Sequence[Host], service: str, release: str | None, *, after: str
) -> list[LogLine]:
    """Returns the kept lines of a release (None: of all) since a time (UTC, ISO 8601, "": all), oldest first.

    A line without a time has that of the line before it. Raises CommandError for output that is damaged.
    """

    def read(host: Host) -> list[tuple[str, LogLine]]:
        done = host.run(kept_logs.print_kept(service, release))
        found, when = [], ""
        try:
            for line in kept_logs.parse_kept(done.stdout):
                when = line.when or when
                found.append((when, LogLine(host.name, line.replica, line.text, line.release)))
        except ValueError as error:
            raise CommandError(
                f"{host.name}: the kept logs of {service} can't be read: {error} ({last_line(done)})"
            ) from error
        return found

    every = chain.from_iterable(on_every(hosts, read))
    chosen = [(when, line) for when, line in every if when >= after]
    return [line for _, line in sorted(chosen, key=lambda entry: entry[0])]
