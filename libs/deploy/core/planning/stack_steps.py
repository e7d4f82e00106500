"""Plans the steps that bring the stacks of one host, the edge above all, to the desired state."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.core.planning.plan import DesiredState
from deploy.core.planning.steps import RemoveStack, StartStack, Step, StopStack
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.core.state.release import Release
from deploy.core.state.stack import Stack


def start(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields the start of every stack that doesn't run, after the removal of the stacks that it replaces.

    A replaced stack is removed whenever it is found, because an earlier version of the tool may have started it again.
    """
    for stack in desired.stacks:
        for name in stack.replaces:
            if host.other_stacks(name, None):
                yield RemoveStack(host.host, name, f"replaced by the {stack.name}")
        if not host.stack_keys(stack.name):
            yield StartStack(host.host, stack, "not running")


def renew(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields the start of every stack that runs with another image or configuration (its key differs).

    A new edge serves beside the old one until the release is verified. Hosts are changed one at a time, in case the new
    edge is broken.
    """
    for stack in desired.stacks:
        running = host.stack_keys(stack.name)
        if running and stack.key not in running:
            yield StartStack(host.host, stack, "image or configuration changed")


def renewed(desired: DesiredState, host: HostState) -> bool:
    """Returns whether a stack will be started; the release must then be verified through it."""
    return any(stack.key not in host.stack_keys(stack.name) for stack in desired.stacks)


def stop_old(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Yields the stop of all edges but the desired one, which serves by then."""
    for stack in desired.stacks:
        if stack.side_by_side and (others := host.other_stacks(stack.name, stack.key)):
            yield StopStack(host.host, stack.name, others, f"replaced by {stack.key}")


def edge_to_restore(release: Release, live: Release | None, fleet: FleetState) -> tuple[Stack, ...]:
    """Returns the edge that served a release, if a rollback to the release should restore it, too.

    Not if that edge had other ports, which belong to the environment. Not if another live service was deployed with
    another edge since: that edge must stay.
    """
    edge = release.edge
    if edge is None or live is None or live.edge is None:
        return ()
    if live.edge.initial_files != edge.initial_files:
        return ()
    first, _ = fleet.turns_of(release)
    for host in fleet:
        for other in host.releases:
            is_live = host.edge.live(other.service) == other.id
            if is_live and other.service != release.service and other.edge not in (None, edge):
                _, last = fleet.turns_of(other)
                if not 0 < last < first:
                    return ()
    return (edge,)


def lost(desired: DesiredState, before: HostState, now: HostState) -> tuple[Stack, ...]:
    """Returns the stacks that don't run now, but ran before the attempt (or a stack that they replace did)."""
    return tuple(
        stack for stack in desired.stacks if _runs(stack, before) and not _runs(stack, now)
    )


def _runs(stack: Stack, host: HostState) -> bool:
    return any(host.stack_keys(name) for name in (stack.name, *stack.replaces))


def revert(desired: DesiredState, before: HostState, now: HostState) -> Iterator[Step]:
    """Yields the stop of edges that the attempt started, if an edge from before it still serves."""
    for stack in desired.stacks:
        keys = before.stack_keys(stack.name)
        new = tuple(key for key in now.other_stacks(stack.name, None) if key not in keys)
        if stack.side_by_side and new and set(keys) & set(now.stack_keys(stack.name)):
            yield StopStack(now.host, stack.name, new, "started by the failed attempt")
