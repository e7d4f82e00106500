"""What one host needs of the parts beside its services, the edge above all; never looks at another host."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.core.planning.plan import DesiredState
from deploy.core.planning.steps import (
    RemoveStack,
    StartStack,
    Step,
    StopStack,
)
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import HostState
from deploy.core.state.release import Release
from deploy.core.state.stack import Stack


def start(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """Starts the stacks of which none runs, and first removes those of earlier versions that they replace.

    A replaced stack is removed whenever it is found, because an earlier version of the tool may have started it again.
    """
    for stack in desired.stacks:
        for name in stack.replaces:
            if host.other_stacks(name, ""):
                yield RemoveStack(host.host, name, f"replaced by the {stack.name}")
        if not host.stack_keys(stack.name):
            yield StartStack(host.host, stack, "it doesn't run")


def renew(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """A new edge serves beside the old one until the release is verified; host by host, lest it is a bad one."""
    for stack in desired.stacks:
        running = host.stack_keys(stack.name)
        if running and stack.key not in running:
            yield StartStack(host.host, stack, "its image or configuration changed")


def renewed(desired: DesiredState, host: HostState) -> bool:
    """True if a part is to be started, so that what answers from outside must be seen anew."""
    return any(stack.key not in host.stack_keys(stack.name) for stack in desired.stacks)


def retire(desired: DesiredState, host: HostState) -> Iterator[Step]:
    """What runs beside an edge that was seen serving is of no use any more."""
    for stack in desired.stacks:
        if stack.beside and (others := host.other_stacks(stack.name, stack.key)):
            yield StopStack(host.host, stack.name, others, f"{stack.key} serves in its place")


def edge_back(release: Release, live: Release | None, seen: FleetState) -> tuple[Stack, ...]:
    """Returns the edge that a release was served through, to go back to with it.

    Not one on other ports: those are the environment's. And not where another service that is live came with another
    one after this release: its way forward isn't this one's to take back.
    """
    edge = release.edge
    if edge is None or live is None or live.edge is None or live.edge.seeds != edge.seeds:
        return ()
    first, _ = seen.turns_of(release)
    for host in seen:
        for other in host.releases:
            is_live = host.edge.live(other.service) == other.id
            if is_live and other.service != release.service and other.edge not in (None, edge):
                _, last = seen.turns_of(other)
                if not 0 < last < first:
                    return ()
    return (edge,)


def lost(desired: DesiredState, was: HostState, now: HostState) -> tuple[Stack, ...]:
    """Returns the stacks that ran before the attempt and don't now, neither themselves nor what they replace."""
    return tuple(stack for stack in desired.stacks if _runs(stack, was) and not _runs(stack, now))


def _runs(stack: Stack, host: HostState) -> bool:
    return any(host.stack_keys(name) for name in (stack.name, *stack.replaces))


def take_back(desired: DesiredState, was: HostState, now: HostState) -> Iterator[Step]:
    """An edge that the attempt started goes, where one of before serves."""
    for stack in desired.stacks:
        before = was.stack_keys(stack.name)
        new = tuple(key for key in now.other_stacks(stack.name, "") if key not in before)
        if stack.beside and new and set(before) & set(now.stack_keys(stack.name)):
            yield StopStack(now.host, stack.name, new, "it belongs to the attempt")
