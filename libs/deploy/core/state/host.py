"""What one host runs and records, as one snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.core.state.draining import Draining
from deploy.core.state.edge import EdgeState
from deploy.core.state.hold import Hold
from deploy.core.state.ledger import Entry
from deploy.core.state.release import Release, sequence_of


@dataclass(frozen=True)
class Container:
    """A container of a release. `health` is None for an image without a health check.

    `since` is when it came into this condition (UTC, ISO 8601), None if the engine doesn't say.
    """

    id: str
    name: str
    service: str
    release: str
    replica: str
    state: str
    health: str | None
    address: str
    restarts: int = 0
    since: str | None = None

    @property
    def ready(self) -> bool:
        """Whether it runs and its health check, if it has one, passes."""
        return self.state == "running" and self.health in (None, "healthy")

    @property
    def condition(self) -> str:
        """Its health while it runs, else its state: Docker keeps the last health of a stopped container."""
        return self.health or self.state if self.state == "running" else self.state


@dataclass(frozen=True)
class Damage:
    """A record of a host that is damaged, missing, or (`newer`) of a newer version of the tool.

    `what` says which; `of_edge` is set for the edge's state.
    """

    what: str
    newer: bool = False
    of_edge: bool = False


@dataclass(frozen=True)
class HostState:
    """A snapshot of one host.

    `problem` says why the host could not be observed, `remedy` what to do about it; all else is empty then, unless its
    records are damaged: `damage` lists how, and what they said is missing in the rest. `images` are the references by
    digest that the engine holds. `stacks` are (name, key) of the running stacks, where two edges may run for a while;
    `stopped_stacks` are those that don't run. `targets` are the SHA-256 of each service's scrape targets. `now_s` is
    the host's clock, in seconds since 1970. `listening` are the TCP ports in use. `holder` says who holds the lock:
    who, since, verb, pipeline. It is None if nobody does. `kept_logs` are (service, release) of the logs of removed
    replicas. `draining` are the drains that the host has yet to finish; `finishes_drains` says whether a watchdog runs
    that does so and isn't paused.
    """

    host: str
    problem: str | None = None
    damage: tuple[Damage, ...] = ()
    remedy: str | None = None
    engine_version: str = ""
    compose_version: str = ""
    disk_free_bytes: int = 0
    network: bool = False
    images: frozenset[str] = frozenset()
    containers: tuple[Container, ...] = ()
    releases: tuple[Release, ...] = ()
    edge: EdgeState = field(default_factory=EdgeState)
    stacks: tuple[tuple[str, str], ...] = ()
    stopped_stacks: tuple[tuple[str, str], ...] = ()
    targets: tuple[tuple[str, str], ...] = ()
    ledger: tuple[Entry, ...] = ()
    holds: tuple[Hold, ...] = ()
    now_s: float = 0.0
    listening: frozenset[int] = frozenset()
    holder: Mapping[str, str] | None = None
    kept_logs: tuple[tuple[str, str], ...] = ()
    draining: tuple[Draining, ...] = ()
    finishes_drains: bool = False

    def replicas(self, service: str, release: str | None) -> tuple[Container, ...]:
        """Returns the containers of a release, by name; none for None."""
        found = (c for c in self.containers if c.service == service and c.release == release)
        return tuple(sorted(found, key=lambda container: container.name))

    def live(self, service: str) -> Release | None:
        """Returns the record of the live release, None if nothing is live or the record is missing."""
        return self.release(service, self.edge.live(service))

    def release(self, service: str, identity: str | None) -> Release | None:
        """Returns the record of a release, None if the host has none of that id or the id is None."""
        found = (r for r in self.releases if r.service == service and r.id == identity)
        return next(found, None)

    def stack_keys(self, name: str) -> tuple[str, ...]:
        """Returns the keys of the running stacks of that name, such as "edge" or "metrics"."""
        return tuple(key for stack, key in self.stacks if stack == name)

    def other_stacks(self, name: str, key: str | None) -> tuple[str, ...]:
        """Returns the keys of all stacks of that name, running or not, except `key`."""
        known = (*self.stacks, *self.stopped_stacks)
        return tuple(other for stack, other in known if stack == name and other != key)

    def target(self, service: str) -> str | None:
        """Returns the SHA-256 of a service's scrape targets, None if it has none."""
        return dict(self.targets).get(service)

    def hold(self, service: str) -> Hold | None:
        """Returns the service's hold, expired or not, None if there is none."""
        return next((hold for hold in self.holds if hold.service == service), None)

    def drain(self, service: str, release: str) -> Draining | None:
        """Returns the drain of a release's replicas, None if there is none."""
        found = (
            each for each in self.draining if (each.service, each.release) == (service, release)
        )
        return next(found, None)

    def running_releases(self, service: str) -> tuple[str, ...]:
        """Returns the ids of all releases that have containers on this host, oldest first."""
        found = {c.release for c in self.containers if c.service == service}
        return tuple(sorted(found, key=sequence_of))
