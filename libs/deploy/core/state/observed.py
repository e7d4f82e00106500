"""What was seen on the hosts, in one snapshot; never looks itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploy.core.config import Service
from deploy.core.state.edge import EdgeState
from deploy.core.state.hold import Hold
from deploy.core.state.ledger import (
    Entry,
    last_sequence,
    last_turn,
    verified,
)
from deploy.core.state.release import (
    ADDRESS_SLOTS,
    Release,
    is_made_of,
    sequence_of,
)
from deploy.errors import UsageError


@dataclass(frozen=True)
class Container:
    """A container that we started. `health` is "" where the image has no health check."""

    id: str
    name: str
    service: str
    release: str
    replica: str
    state: str
    health: str
    address: str
    restarts: int = 0

    @property
    def ready(self) -> bool:
        """True if it runs and its health check, if any, passes."""
        return self.state == "running" and self.health in ("", "healthy")

    @property
    def condition(self) -> str:
        """How it is, in a word: its health while it runs, else its state (Docker keeps the last health)."""
        return self.health or self.state if self.state == "running" else self.state


@dataclass(frozen=True)
class Observed:
    """One host. `problem` is not "" when it couldn't be looked at; all else is then empty.

    `images` are the references by digest that the engine holds; `parts` are (name, key) of what
    runs beside the services, where two edges may run for a moment, `stopped_parts` those that don't run; `targets`
    the SHA-256 of each service's scrape targets; `now_s` is the host's clock, in seconds since 1970;
    `listening` the TCP ports that something listens on.
    """

    host: str
    problem: str = ""
    engine_version: str = ""
    compose_version: str = ""
    disk_free_bytes: int = 0
    network: bool = False
    images: frozenset[str] = frozenset()
    containers: tuple[Container, ...] = ()
    releases: tuple[Release, ...] = ()
    edge: EdgeState = field(default_factory=EdgeState)
    parts: tuple[tuple[str, str], ...] = ()
    stopped_parts: tuple[tuple[str, str], ...] = ()
    targets: tuple[tuple[str, str], ...] = ()
    ledger: tuple[Entry, ...] = ()
    holds: tuple[Hold, ...] = ()
    now_s: float = 0.0
    listening: frozenset[int] = frozenset()

    def replicas(self, service: str, release: str) -> tuple[Container, ...]:
        """Returns the containers of a release, by name."""
        found = (c for c in self.containers if c.service == service and c.release == release)
        return tuple(sorted(found, key=lambda container: container.name))

    def live(self, service: str) -> Release | None:
        """Returns the record of the live release: what the edge names, None if it names none we know."""
        return self.release(service, self.edge.live(service))

    def release(self, service: str, identity: str) -> Release | None:
        """Returns a release's record, None if the host holds none of that id."""
        found = (r for r in self.releases if r.service == service and r.id == identity)
        return next(found, None)

    def part_keys(self, name: str) -> tuple[str, ...]:
        """Returns the keys of all that run of the edge ("edge"), the host's Prometheus ("metrics") or the like."""
        return tuple(key for each, key in self.parts if each == name)

    def other_parts(self, name: str, key: str) -> tuple[str, ...]:
        """Returns the keys of all of that name, running or not, but this one."""
        return tuple(
            each
            for part, each in (*self.parts, *self.stopped_parts)
            if part == name and each != key
        )

    def target(self, service: str) -> str:
        """Returns the SHA-256 of a service's scrape targets, "" if it has none."""
        return dict(self.targets).get(service, "")

    def hold(self, service: str) -> Hold | None:
        """Returns a service's hold, expired or not."""
        return next((hold for hold in self.holds if hold.service == service), None)

    def running_releases(self, service: str) -> tuple[str, ...]:
        """Returns the ids of all releases with containers here, oldest first."""
        found = {c.release for c in self.containers if c.service == service}
        return tuple(sorted(found, key=sequence_of))


def next_sequence(observed: tuple[Observed, ...]) -> int:
    """Returns the sequence of the next release: one that no host has given, whose addresses nothing here has.

    Records count beside the ledger: a line of it may be torn.
    """
    given = [last_sequence(host.ledger) for host in observed]
    given += [release.sequence for host in observed for release in host.releases]
    running = [sequence_of(c.release) for host in observed for c in host.containers]
    taken = {sequence % ADDRESS_SLOTS for sequence in running}
    after = 1 + max([*given, *running], default=0)
    return next(
        each for each in range(after, after + ADDRESS_SLOTS) if each % ADDRESS_SLOTS not in taken
    )


def lasting_hold(observed: tuple[Observed, ...], service: str) -> Hold | None:
    """Returns what keeps other deploys of a service away, None if nothing does.

    A hold ends when it expires, and when its candidate has begun to go live: then only a rerun is left to do.
    """
    if (found := any_hold(observed, service)) is None:
        return None
    begun = any(host.edge.live(service) == found.release for host in observed)
    lasts = any(
        hold.expires_s > host.now_s for host in observed if (hold := host.hold(service)) is not None
    )
    return found if lasts and not begun else None


def any_hold(observed: tuple[Observed, ...], service: str) -> Hold | None:
    """Returns a service's hold from whichever host has one, expired or not."""
    return next((hold for host in observed if (hold := host.hold(service))), None)


def task_done(observed: tuple[Observed, ...], release: str, task: str) -> bool:
    """True if some host's ledger says that the release's task ran to a good end."""
    entries = (entry for host in observed for entry in host.ledger if entry.event == "task")
    told = {(entry.release, entry.what, entry.outcome) for entry in entries}
    return (release, task, "done") in told


def next_turn(observed: tuple[Observed, ...]) -> int:
    """Returns the number of the next operation on this fleet."""
    return 1 + max((last_turn(host.ledger) for host in observed), default=0)


def last_verified(observed: tuple[Observed, ...], service: str) -> str:
    """Returns the id of the release that was last seen answering from outside, "" if none ever was.

    A host that was cut off before it wrote so may lag: the latest turn of any host counts.
    """
    entries = [entry for host in observed for entry in verified(host.ledger, service)]
    return max(entries, key=lambda entry: entry.turn).release if entries else ""


def turns_of(observed: tuple[Observed, ...], release: Release) -> tuple[int, int]:
    """Returns the first and the last turn in which a release was seen answering from outside; 0 and 0 for none."""
    turns = [
        entry.turn
        for host in observed
        for entry in verified(host.ledger, release.service)
        if entry.release == release.id
    ]
    return min(turns, default=0), max(turns, default=0)


def release_named(service: str, identity: str, observed: tuple[Observed, ...]) -> Release | None:
    """Returns the record of a release from whichever host holds it, None if none does."""
    found = (record for host in observed if (record := host.release(service, identity)))
    return next(found, None)


def previous_release(service: str, observed: tuple[Observed, ...]) -> Release | None:
    """Returns the release that was last verified before what is live now, None if no host holds one's record."""
    live = {host.edge.live(service) for host in observed}
    entries = [entry for host in observed for entry in verified(host.ledger, service)]
    for entry in sorted(entries, key=lambda entry: entry.turn, reverse=True):
        record = release_named(service, entry.release, observed)
        if record is not None and entry.release not in live:
            return record
    return None


def newest_verified(
    observed: tuple[Observed, ...], service: Service, image: str, replica: str
) -> Release | None:
    """Returns the record of the newest verified release of this image and configuration, None if no host holds one."""
    name = service.name
    proven = {entry.release for host in observed for entry in verified(host.ledger, name)}
    found = (
        record
        for host in observed
        for record in host.releases
        if record.service == name
        and record.id in proven
        and is_made_of(record, service, image, replica)
    )
    return max(found, key=lambda record: record.sequence, default=None)


def last_operation(service: str, observed: tuple[Observed, ...]) -> Entry | None:
    """Returns the last word of any host on the last operation on a service, None if there was none."""
    entries = [entry for host in observed for entry in host.ledger if entry.service == service]
    return max(entries, key=lambda entry: (entry.turn, entry.event == "ended"), default=None)


def known_releases(service: str, observed: tuple[Observed, ...]) -> tuple[str, ...]:
    """Returns the ids of all releases that any host holds, newest first."""
    found = {
        record.id for host in observed for record in host.releases if record.service == service
    }
    return tuple(sorted(found, key=sequence_of, reverse=True))


def live_release(service: str, seen: tuple[Observed, ...]) -> Release:
    """Returns the record of what is live. Raises UsageError where that isn't one release on all hosts."""
    live = {host.edge.live(service) for host in seen}
    found = release_named(service, next(iter(live)), seen) if len(live) == 1 else None
    if found is None:
        told = ", ".join(sorted(live - {""})) or "nothing"
        raise UsageError(
            f"{service}: {told} is live, where one release on all hosts was needed",
            hint=f"./ship deploy {service}",
        )
    return found
