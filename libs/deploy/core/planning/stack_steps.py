"""What one host needs of the parts beside its services, the edge above all; never looks at another host."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.core.planning.plan import Wanted
from deploy.core.planning.steps import (
    RemoveStack,
    RetirePart,
    StartPart,
    Step,
)
from deploy.core.state.observed import Observed, turns_of
from deploy.core.state.release import Release
from deploy.core.state.stack import Part


def start(wanted: Wanted, host: Observed) -> Iterator[Step]:
    """Starts the stacks of which none runs, and first removes those of earlier versions that they replace.

    A replaced stack is removed whenever it is found: the tool's earlier version, too, may have started it.
    """
    for part in wanted.parts:
        for name in part.replaces:
            if host.other_parts(name, ""):
                yield RemoveStack(host.host, name, f"replaced by the {part.name}")
        if not host.part_keys(part.name):
            yield StartPart(host.host, part, "it doesn't run")


def renew(wanted: Wanted, host: Observed) -> Iterator[Step]:
    """A new edge serves beside the old one until the release is verified; host by host, lest it is a bad one."""
    for part in wanted.parts:
        running = host.part_keys(part.name)
        if running and part.key not in running:
            yield StartPart(host.host, part, "its image or configuration changed")


def renewed(wanted: Wanted, host: Observed) -> bool:
    """True if a part is to be started, so that what answers from outside must be seen anew."""
    return any(part.key not in host.part_keys(part.name) for part in wanted.parts)


def retire(wanted: Wanted, host: Observed) -> Iterator[Step]:
    """What runs beside an edge that was seen serving is of no use any more."""
    for part in wanted.parts:
        if part.beside and (others := host.other_parts(part.name, part.key)):
            yield RetirePart(host.host, part.name, others, f"{part.key} serves in its place")


def edge_back(
    release: Release, live: Release | None, seen: tuple[Observed, ...]
) -> tuple[Part, ...]:
    """Returns the edge that a release was served through, to go back to with it.

    Not one on other ports: those are the environment's. And not where another service that is live came with another
    one after this release: its way forward isn't this one's to take back.
    """
    edge = release.edge
    if edge is None or live is None or live.edge is None or live.edge.seeds != edge.seeds:
        return ()
    first, _ = turns_of(seen, release)
    for host in seen:
        for other in host.releases:
            is_live = host.edge.live(other.service) == other.id
            if is_live and other.service != release.service and other.edge not in (None, edge):
                _, last = turns_of(seen, other)
                if not 0 < last < first:
                    return ()
    return (edge,)


def lost(wanted: Wanted, was: Observed, now: Observed) -> tuple[Part, ...]:
    """Returns the stacks that ran before the attempt and don't now, neither themselves nor what they replace."""
    return tuple(part for part in wanted.parts if _runs(part, was) and not _runs(part, now))


def _runs(part: Part, host: Observed) -> bool:
    return any(host.part_keys(name) for name in (part.name, *part.replaces))


def take_back(wanted: Wanted, was: Observed, now: Observed) -> Iterator[Step]:
    """An edge that the attempt started goes, where one of before serves."""
    for part in wanted.parts:
        before = was.part_keys(part.name)
        new = tuple(key for key in now.other_parts(part.name, "") if key not in before)
        if part.beside and new and set(before) & set(now.part_keys(part.name)):
            yield RetirePart(now.host, part.name, new, "it belongs to the attempt")
