"""Decides what to bring back, from what runs and what should; never does it.

Only replicas that the edge sends users to count, and the parts that stand beside all services. A deploy takes a
replica out of the edge's text before it stops it and puts one in once it is ready, so the keeper and a deploy never
work on the same container.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from keeper.engine import Container

HEADER = "# py-cicd edge: "
# By their label py-cicd.name. Not the keeper itself: that is the engine's to start.
PARTS = ("edge", "metrics", "node", "exporter")
# An engine that starts a replica itself (restart: always) is faster than this.
SETTLED_S = 1.0
# A replica that is brought back in vain is left alone for longer each time.
PAUSES_S = (0.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
# Whoever ran this long since is well again.
WELL_AFTER_S = 60.0


@dataclass(frozen=True)
class Served:
    """A service's live release and the addresses that the edge sends its users to."""

    release: str
    addresses: frozenset[str]


@dataclass(frozen=True)
class Act:
    """What is to be done to a container: "start" or "restart", and why."""

    verb: str
    container: Container
    because: str


@dataclass
class _Patient:
    """What is known of one container: since when it ails, how often it was brought back, when last."""

    ails_since: float | None = None
    well_since: float | None = None
    attempts: int = 0
    last: float = float("-inf")


@dataclass
class Watch:
    """What the looks before have told. Times are on a monotonic clock, in seconds."""

    patients: dict[str, _Patient] = field(default_factory=dict)

    def judge(self, routes: str, containers: Iterable[Container], now_s: float) -> list[Act]:
        """Returns what is to be done now, from the edge's text and the engine's list."""
        found = list(containers)
        known = {container.id for container in found}
        self.patients = {each: kept for each, kept in self.patients.items() if each in known}
        acts = [*self._replicas(served(routes), found, now_s), *self._parts(found, now_s)]
        for act in acts:
            patient = self._of(act.container)
            patient.attempts, patient.last = patient.attempts + 1, now_s
        return acts

    def _replicas(
        self, live: dict[str, Served], found: list[Container], now_s: float
    ) -> Iterator[Act]:
        for service, wanted in live.items():
            labels = {"py-cicd.service": service, "py-cicd.release": wanted.release}
            mine = [c for c in found if labels.items() <= c.labels.items()]
            replicas = [c for c in mine if c.address in wanted.addresses]
            for replica in replicas:
                if self._due(replica, replica.state == "exited", now_s):
                    yield Act("start", replica, "it had ended")
            sick = [c for c in replicas if c.state == "running" and c.unhealthy]
            for replica in replicas:
                if replica.state == "running":
                    self._note(replica, replica.unhealthy, now_s)
            # One at a time: where all fail at once the fault is elsewhere, and some must go on answering.
            if any(c.starting or now_s - self._of(c).last < PAUSES_S[1] for c in replicas):
                continue
            due = sorted(
                (c for c in sick if self._may(c, now_s)), key=lambda c: self._of(c).attempts
            )
            yield from (Act("restart", each, "its health check fails") for each in due[:1])

    def _parts(self, found: list[Container], now_s: float) -> Iterator[Act]:
        for part in PARTS:
            mine = [c for c in found if c.labels.get("py-cicd.name") == part]
            if any(c.state in ("running", "restarting", "paused") for c in mine):
                for each in mine:
                    self._note(each, False, now_s)
                continue
            # Of two edges the newer one is where the deploy that was cut off wanted to go.
            newest = sorted((c for c in mine if c.state == "exited"), key=lambda c: c.created)[-1:]
            for each in newest:
                if self._due(each, True, now_s):
                    yield Act("start", each, f"no {part} ran")

    def _due(self, container: Container, ails: bool, now_s: float) -> bool:
        if container.state == "running":
            return False
        self._note(container, ails, now_s)
        since = self._of(container).ails_since
        return since is not None and now_s - since >= SETTLED_S and self._may(container, now_s)

    def _may(self, container: Container, now_s: float) -> bool:
        patient = self._of(container)
        pause = PAUSES_S[min(patient.attempts, len(PAUSES_S) - 1)]
        return now_s - patient.last >= pause

    def _note(self, container: Container, ails: bool, now_s: float) -> None:
        patient = self._of(container)
        if ails:
            patient.well_since = None
            patient.ails_since = now_s if patient.ails_since is None else patient.ails_since
            return
        patient.ails_since = None
        patient.well_since = now_s if patient.well_since is None else patient.well_since
        if now_s - patient.well_since >= WELL_AFTER_S:
            patient.attempts = 0

    def _of(self, container: Container) -> _Patient:
        return self.patients.setdefault(container.id, _Patient())


def served(routes: str) -> dict[str, Served]:
    """Returns what serves each service's users, as the first line of the edge's text says."""
    first = routes.partition("\n")[0]
    if not first.startswith(HEADER):
        return {}
    try:
        told = json.loads(first.removeprefix(HEADER))["routes"]
        return {each["service"]: _served(each) for each in told if each["live"]}
    except (ValueError, KeyError, TypeError):
        return {}


def _served(route: dict[str, Any]) -> Served:
    servers = [
        server
        for upstream in route["upstreams"]
        if upstream["release"] == route["live"]
        for server in upstream["servers"]
    ]
    return Served(route["live"], frozenset(server.partition(":")[0] for server in servers))
