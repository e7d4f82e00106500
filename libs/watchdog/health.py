"""Decides which containers to start or restart, from what runs and what the edge routes to.

Two kinds of containers count: replicas that receive users' requests, and the stacks beside the services. A deploy
removes a replica from the edge's routes before it stops it, and adds a replica once it is ready, so the watchdog and
a deploy never act on the same container.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from watchdog.containers import Container
from watchdog.routes import Served

SUPERVISED = ("edge", "metrics", "node", "exporter")
"""Values of the label py-cicd.name. The watchdog's own container isn't among them: the engine restarts it."""

SETTLE_S = 1.0
"""How long a container must be down before the watchdog acts. The engine's own `restart: always` is faster."""

BACKOFF_S = (0.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""The pause before each further attempt on the same container; the last one repeats."""

HEALTHY_AFTER_S = 60.0
"""A container that has been healthy for this long starts again without a pause."""


class Verb(StrEnum):
    """What the watchdog can do to a container."""

    START = "start"
    RESTART = "restart"
    """Signals a container to stop. Once it has ended, it is started."""
    KILL = "kill"
    """Kills a container that didn't end within its grace period."""


@dataclass(frozen=True)
class Action:
    """One thing to do to a container, and the reason."""

    verb: Verb
    container: Container
    reason: str


@dataclass
class Health:
    """The history of one container. Times are on a monotonic clock, in seconds."""

    failing_since: float | None = None
    healthy_since: float | None = None
    attempts: int = 0
    last_attempt: float = float("-inf")

    def observe(self, *, failing: bool, now_s: float) -> None:
        """Adds an observation. A container that stays healthy long enough has its attempts forgotten."""
        if failing:
            self.healthy_since = None
            self.failing_since = now_s if self.failing_since is None else self.failing_since
            return
        self.failing_since = None
        self.healthy_since = now_s if self.healthy_since is None else self.healthy_since
        if now_s - self.healthy_since >= HEALTHY_AFTER_S:
            self.attempts = 0

    def attempt(self, now_s: float) -> None:
        """Counts an attempt to start or restart the container."""
        self.attempts, self.last_attempt = self.attempts + 1, now_s

    def may_attempt(self, now_s: float) -> bool:
        """Returns whether the pause after the last attempt is over."""
        return now_s - self.last_attempt >= BACKOFF_S[min(self.attempts, len(BACKOFF_S) - 1)]

    def has_settled(self, now_s: float) -> bool:
        """Returns whether the container has been failing for `SETTLE_S`."""
        return self.failing_since is not None and now_s - self.failing_since >= SETTLE_S


@dataclass
class HealthRecord:
    """The health of all containers of a host, updated at each check."""

    by_id: dict[str, Health] = field(default_factory=dict)
    restarting: dict[str, float] = field(default_factory=dict)
    """Until when replicas that were signalled to stop may go on with their requests, by container id."""

    def decide(
        self, live: Mapping[str, Served], containers: Iterable[Container], now_s: float
    ) -> list[Action]:
        """Returns what to do now. `live` is what serves each service, `now_s` the monotonic clock in seconds."""
        found = list(containers)
        ids = {container.id for container in found}
        self.by_id = {identity: kept for identity, kept in self.by_id.items() if identity in ids}
        replicas = list(_replicas(live, found))
        self._forget_restarts(replicas)
        actions = [
            *self._replica_actions(replicas, now_s),
            *self._stack_actions(found, now_s),
        ]
        for action in actions:
            self._of(action.container).attempt(now_s)
        return actions

    def restart_begun(self, container: Container, now_s: float, grace_s: float) -> None:
        """Notes that a replica was signalled to stop and may take `grace_s` seconds for it."""
        self.restarting[container.id] = now_s + grace_s

    def _forget_restarts(self, replicas: list[Container]) -> None:
        """Forgets restarts of replicas that a deploy took from the users meanwhile, or that recovered."""
        pending = {
            replica.id for replica in replicas if replica.unhealthy or replica.state == "exited"
        }
        self.restarting = {key: until for key, until in self.restarting.items() if key in pending}

    def _replica_actions(self, replicas: list[Container], now_s: float) -> Iterator[Action]:
        restarts = bool(self.restarting)
        for replica in replicas:
            if replica.id in self.restarting:
                yield from self._finish_restart(replica, now_s)
            elif self._should_start(replica, failing=replica.state == "exited", now_s=now_s):
                yield Action(Verb.START, replica, "it had ended")
        for replica in replicas:
            if replica.state == "running":
                self._of(replica).observe(failing=replica.unhealthy, now_s=now_s)
        # One restart at a time on a host: if all replicas fail at once the cause is elsewhere, and some must go on
        # answering.
        if restarts or any(
            replica.starting or now_s - self._of(replica).last_attempt < BACKOFF_S[1]
            for replica in replicas
        ):
            return
        unhealthy = sorted(
            (
                replica
                for replica in replicas
                if replica.state == "running" and replica.unhealthy
                if self._of(replica).may_attempt(now_s)
            ),
            key=lambda replica: self._of(replica).attempts,
        )
        for replica in unhealthy[:1]:
            yield Action(Verb.RESTART, replica, "its health check fails")

    def _finish_restart(self, replica: Container, now_s: float) -> Iterator[Action]:
        if replica.state == "exited":
            del self.restarting[replica.id]
            yield Action(Verb.START, replica, "it ended for its restart")
        elif now_s >= self.restarting[replica.id]:
            self.restarting[replica.id] = now_s + BACKOFF_S[1]
            yield Action(Verb.KILL, replica, "it did not end in time for its restart")

    def _stack_actions(self, found: list[Container], now_s: float) -> Iterator[Action]:
        for name in SUPERVISED:
            named = [c for c in found if c.labels.get("py-cicd.name") == name]
            if any(c.state in ("running", "restarting", "paused") for c in named):
                for container in named:
                    self._of(container).observe(failing=False, now_s=now_s)
                continue
            # Two stopped edges are left by an interrupted deploy, which was replacing the older one.
            newest = sorted((c for c in named if c.state == "exited"), key=lambda c: c.created)[-1:]
            for container in newest:
                if self._should_start(container, failing=True, now_s=now_s):
                    yield Action(Verb.START, container, f"no {name} ran")

    def _should_start(self, container: Container, *, failing: bool, now_s: float) -> bool:
        if container.state == "running":
            return False
        health = self._of(container)
        health.observe(failing=failing, now_s=now_s)
        return health.has_settled(now_s) and health.may_attempt(now_s)

    def _of(self, container: Container) -> Health:
        return self.by_id.setdefault(container.id, Health())


def _replicas(live: Mapping[str, Served], found: list[Container]) -> Iterator[Container]:
    """Yields the containers that users' requests are sent to."""
    for service, serving in live.items():
        labels = {"py-cicd.service": service, "py-cicd.release": serving.release}
        for container in found:
            is_its_own = labels.items() <= container.labels.items()
            if is_its_own and container.address in serving.addresses:
                yield container
