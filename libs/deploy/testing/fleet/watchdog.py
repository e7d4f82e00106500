"""Simulates the part of a host's watchdog that finishes drains. What it depends on is in the host's files."""

from __future__ import annotations

from dataclasses import replace

from deploy.core.commands import paths
from deploy.core.commands.draining import MARK
from deploy.core.state.draining import (
    DRAINS_LABEL,
    DrainEnd,
    Draining,
    dump_drain_end,
    parse_draining,
)
from deploy.core.state.ledger import Entry, EntryEvent, head_of
from deploy.testing.fleet.docker import SimulatedContainer
from deploy.testing.fleet.files import record
from deploy.testing.fleet.simulated_host import SimulatedHost

STEPS = ("mark", "signal", "signal", "remove", "remove", "record", "forget")
"""The steps of the drain of two replicas."""


def is_running(host: SimulatedHost) -> bool:
    """Returns whether the host's watchdog runs, isn't paused and finishes drains."""
    now_s = host.clock.monotonic()
    runs = any(
        container.labels.get(DRAINS_LABEL) == "1" and container.status(now_s) == "running"
        for container in host.engine.containers.values()
    )
    return runs and not any(path in host.files for path in paths.WATCHDOG_PAUSES)


def check(host: SimulatedHost) -> None:
    """Does what is due on a host. If `watchdog_dies_before` names one of its steps, the watchdog ends before it."""
    for file in sorted(path for path in host.files if "/draining/" in path):
        if file.endswith(".json") and is_running(host):
            _advance(host, file, parse_draining(host.files[file].decode()))


def _advance(host: SimulatedHost, file: str, drain: Draining) -> None:
    mark = file.removesuffix(".json") + MARK
    left = _left(host, drain)
    if left and mark not in host.files:
        if not _is_over(host, drain) or not _step(host):
            return
        host.files[mark] = "".join(f"{container.id}\n" for container in left).encode()
    for container in left:
        if container.status(host.clock.monotonic()) == "running":
            if not _step(host):
                return
            container.signalled = True
    for container in left:
        if not _step(host):
            return
        host.engine.remove([container.name])
    if not _step(host):
        return
    record(host.files, _head(host, drain))
    if _step(host):
        host.files.pop(mark, None)
        del host.files[file]


def _left(host: SimulatedHost, drain: Draining) -> list[SimulatedContainer]:
    routes = host.edge_state.routes
    servers = {
        server.partition(":")[0]
        for route in routes
        for upstream in route.upstreams
        for server in upstream.servers
    }
    ids = {replica.id for replica in drain.replicas}
    return [
        container
        for container in host.engine.containers.values()
        if container.id in ids and container.address not in servers
    ]


def _is_over(host: SimulatedHost, drain: Draining) -> bool:
    leaving = {pid for nginx in host.running_edges() for pid, _, _ in nginx.leaving}
    is_idle = drain.workers is not None and leaving.isdisjoint(drain.workers)
    return is_idle or host.log.now(host.clock.monotonic()) >= drain.deadline_s


def _step(host: SimulatedHost) -> bool:
    """Counts a step; returns whether the watchdog lives to do it."""
    if host.watchdog_dies_before == host.watchdog_steps:
        host.engine.halt_stack("watchdog")
        return False
    host.watchdog_steps += 1
    return True


def _head(host: SimulatedHost, drain: Draining) -> str:
    now_s = host.log.now(host.clock.monotonic())
    entry = Entry(
        drain.turn, host.clock.now(), "watchdog", "drain", drain.service, drain.release, 0, ""
    )
    seconds, what = round(now_s - drain.begun_s, 3), dump_drain_end(DrainEnd(len(drain.replicas)))
    return head_of(replace(entry, event=EntryEvent.DRAINED, seconds=seconds, what=what))
