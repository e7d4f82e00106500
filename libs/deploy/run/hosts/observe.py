"""Observes hosts: takes one snapshot of each, in parallel."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.core.commands import snapshot
from deploy.core.commands.snapshot import parse_snapshot
from deploy.core.ports import Host
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.errors import CommandError, ShipError
from deploy.run.hosts.fanout import on_every
from deploy.run.hosts.locked_host import last_line


def observe(hosts: Sequence[Host]) -> FleetState:
    """Returns a snapshot of every host, in order. Raises HostUnreachableError or CommandError, naming each host."""
    return FleetState(on_every(hosts, observe_host))


def observe_reachable(hosts: Sequence[Host]) -> FleetState:
    """Returns a snapshot of every host, in order; of one that can't be observed only the `problem` and `remedy`."""
    return FleetState(on_every(hosts, _observe_or_problem))


def _observe_or_problem(host: Host) -> HostState:
    try:
        return observe_host(host)
    except ShipError as error:
        return HostState(host.name, problem=error.message, remedy=error.hint or None)


def observe_host(host: Host) -> HostState:
    """Returns one host's snapshot. Raises CommandError if its engine doesn't answer or its records are damaged."""
    done = host.run(snapshot.take(), timeout_s=60)
    if done.code != 0:
        raise CommandError(
            f"{host.name}: its Docker engine doesn't answer: {last_line(done)}",
            hint="start the engine on that host and run this again; nothing was changed",
        )
    try:
        return parse_snapshot(host.name, done.stdout)
    except ValueError as error:
        raise CommandError(
            f"{host.name}: its records can't be read: {error}",
            hint="deploy with the version of the tool that wrote them, or a newer one; nothing was changed",
        ) from error
