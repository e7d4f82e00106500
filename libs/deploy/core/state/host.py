"""What one host runs and records, as one snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploy.core.state.edge import EdgeState
from deploy.core.state.hold import Hold
from deploy.core.state.ledger import Entry
from deploy.core.state.release import Release, sequence_of


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
class HostState:
    """One host. `problem` is not "" when it couldn't be looked at; all else is then empty.

    `images` are the references by digest that the engine holds; `stacks` are (name, key) of what
    runs beside the services, where two edges may run for a moment, `stopped_stacks` those that don't run; `targets`
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
    stacks: tuple[tuple[str, str], ...] = ()
    stopped_stacks: tuple[tuple[str, str], ...] = ()
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

    def stack_keys(self, name: str) -> tuple[str, ...]:
        """Returns the keys of all that run of the edge ("edge"), the host's Prometheus ("metrics") or the like."""
        return tuple(key for each, key in self.stacks if each == name)

    def other_stacks(self, name: str, key: str) -> tuple[str, ...]:
        """Returns the keys of all of that name, running or not, but this one."""
        return tuple(
            each
            for stack, each in (*self.stacks, *self.stopped_stacks)
            if stack == name and each != key
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
