"""Looks at hosts: one snapshot each, side by side; never changes anything."""

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
    """Returns a snapshot of every host, in order. Raises HostUnreachableError, CommandError that name all that fail."""
    return FleetState(on_every(hosts, look))


def observe_what_answers(hosts: Sequence[Host]) -> FleetState:
    """As `observe`, but a host that can't be looked at is a snapshot with its problem."""
    return FleetState(on_every(hosts, _try_look))


def _try_look(host: Host) -> HostState:
    try:
        return look(host)
    except ShipError as error:
        return HostState(host.name, problem=error.message)


def look(host: Host) -> HostState:
    """Returns one host's snapshot."""
    done = host.run(snapshot.take(), timeout_s=60)
    if done.code != 0:
        raise CommandError(
            f"{host.name}: its Docker engine doesn't answer: {last_line(done)}",
            hint="start the engine on that host and run this again; what ran there is as it was",
        )
    return parse_snapshot(host.name, done.stdout)
