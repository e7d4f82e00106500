"""Observes hosts: takes one snapshot of each, in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deploy.core.commands import snapshot
from deploy.core.commands.snapshot import parse_snapshot
from deploy.core.ports import Host
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.errors import CommandError, RecordError, ShipError
from deploy.run.hosts.fanout import on_every
from deploy.run.hosts.locked_host import last_line


def observe(hosts: Sequence[Host]) -> FleetState:
    """Returns a snapshot of every host, in order.

    Raises HostUnreachableError, CommandError or RecordError, naming each host.
    """
    return FleetState(on_every(hosts, observe_host))


def observe_reachable(hosts: Sequence[Host]) -> FleetState:
    """Returns a snapshot of every host, in order; of one that can't be observed only the `problem` and `remedy`.

    A host with damaged records has them too, beside what could be read.
    """
    return FleetState(on_every(hosts, _observe_or_problem))


def _observe_or_problem(host: Host) -> HostState:
    try:
        found = read_host(host)
    except ShipError as error:
        return HostState(host.name, problem=error.message, remedy=error.hint or None)
    if not found.damage:
        return found
    damage = damage_of(found)
    return replace(found, problem=damage.message, remedy=damage.hint or None)


def observe_host(host: Host) -> HostState:
    """Returns one host's snapshot. Raises what `read_host` raises, and RecordError if its records are damaged."""
    found = read_host(host)
    if found.damage:
        raise damage_of(found)
    return found


def read_host(host: Host) -> HostState:
    """Returns one host's snapshot, with the damage to its records. Raises CommandError if its engine doesn't answer."""
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
            f"{host.name}: what its Docker engine answers can't be read: {error}",
            hint=f"docker version on {host.name} shows which engine runs there; nothing was changed",
        ) from error


def damage_of(host: HostState) -> RecordError:
    """Returns the error for a host whose records are damaged."""
    what = "; ".join(each.what for each in host.damage)
    if any(each.newer for each in host.damage):
        return RecordError(
            f"{host.host}: its records are of a newer version: {what}; nothing was changed",
            hint="use the version of the tool that wrote them, or a newer one",
        )
    return RecordError(
        f"{host.host}: its records are damaged: {what}; nothing was changed, users are served as before",
        hint=f"./ship host repair {host.host} rebuilds them from the release records and from what nginx runs",
    )
