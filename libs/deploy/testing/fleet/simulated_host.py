"""What a simulated host is: its engine, files and edges, and what its edge answers; never runs a command."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from deploy.core.commands import paths
from deploy.core.ports import Answer, Clock, Completed
from deploy.testing.fleet.access_log import AccessLog, Logged
from deploy.testing.fleet.docker import SimulatedContainer, SimulatedEngine
from deploy.testing.fleet.files import extended
from deploy.testing.fleet.nginx import Nginx

BROKEN = "/broken"
"""The path on which an image with `Behaviour(fails_at=BROKEN)` answers 500."""


@dataclass(frozen=True)
class Visits:
    """Requests to the public port, `broken` of them to `BROKEN`, the others to `/`."""

    requests: int
    broken: int = 0
    request_id: str = ""


@dataclass
class SimulatedHost:
    """One host.

    `locked_by` is the token of the lock's holder, "" for nobody; `sources` are pullable images; `log` is what the edge
    logged; `visits` arrive before the log is counted; `tasks` are those that ran, `task_ends` is how each ends.
    """

    name: str
    clock: Clock
    sources: set[str]
    engine: SimulatedEngine = field(default_factory=SimulatedEngine)
    files: dict[str, bytes] = field(default_factory=dict)
    edges: list[Nginx] = field(default_factory=list)
    judged_bad: set[str] = field(default_factory=set)
    locked_by: str = ""
    login_refused: bool = False
    pull_refused: bool = False
    stragglers: bool = False
    taken_ports: tuple[int, ...] = ()
    edge_lingers_s: float = 3.0
    asked: int = 0
    log: AccessLog = field(default_factory=AccessLog)
    visits: tuple[Visits, ...] = ()
    visited_since: set[float] = field(default_factory=set)
    tasks: list[str] = field(default_factory=list)
    task_ends: Completed = field(default_factory=lambda: Completed(0, "did it\n"))

    def answer(self, port: int, host: str, path: str, request_id: str = "") -> Answer:
        """What the edge answers; port 80 is the public one, whatever it is published as."""
        taking = [nginx for nginx in self.running_edges() if nginx.workers]
        if not taking:
            return Answer(0, b"connection refused")
        self.asked += 1
        nginx = taking[self.asked % len(taking)]
        location = nginx.conf.find(port, host, path)
        if location is None:
            return Answer(404)
        if location.answer is not None:
            told = location.answer[1].replace("$hostname", nginx.key)
            later = {"retry-after": location.retry_after} if location.retry_after else {}
            return Answer(location.answer[0], told.encode(), later)
        upstream, server = location.chosen(self.asked // len(taking))
        answer, took_s = self._ask(self.engine.at(server), path)
        # Times differ by a half, so that sides are distributions.
        milliseconds = int(took_s * 1000 * (0.8 + self.asked * 7 % 10 / 20))
        now = self.log.now(self.clock.monotonic())
        self.log.requests.append(
            Logged(now, request_id, upstream, server, answer.status, milliseconds)
        )
        return answer

    def receive_visits(self, since: float) -> None:
        """Answers `visits` once for each moment from which the log is counted: once in each watch or analysis."""
        if since in self.visited_since:
            return
        self.visited_since.add(since)
        for visits in self.visits:
            for number in range(visits.requests):
                path = BROKEN if number < visits.broken else "/"
                self.answer(80, "", path, visits.request_id)

    @property
    def nginx(self) -> Nginx:
        """The edge that was started last."""
        return self.running_edges()[-1]

    def running_edges(self) -> list[Nginx]:
        """The edges as they are now; one that quits is there until its last worker is gone."""
        for nginx in self.edges:
            nginx.tick(self.clock.monotonic())
        self.edges = [nginx for nginx in self.edges if nginx.workers or nginx.leaving]
        return self.edges

    def folders(self, service: str) -> set[str]:
        """The ids of all releases that have a folder here."""
        start = f"{paths.ROOT}/services/{service}/releases/"
        return {p.removeprefix(start).split("/")[0] for p in self.files if p.startswith(start)}

    def secrets_of(self, container: SimulatedContainer) -> dict[str, str]:
        """What a replica sees at /run/secrets, and in its environment from where its secrets come in."""
        label = container.labels["py-cicd.release"]
        folder = f"{paths.release_folder(container.labels['py-cicd.service'], label)}/secrets"
        seen = {
            path.rpartition("/")[2]: content.decode()
            for path, content in self.files.items()
            if path.startswith(f"{folder}/files/")
        }
        told = extended(self.files.get(f"{folder}/replica.json", b""))
        return seen | {name: container.environment[name] for name in told}

    def _ask(self, container: SimulatedContainer | None, path: str) -> tuple[Answer, float]:
        if container is None or not container.serves(self.clock.monotonic()):
            return Answer(502), 0.001
        behaviour = container.behaviour
        container.asked += 1
        turn = behaviour.fails_every and container.asked % behaviour.fails_every == 0
        if turn or (behaviour.fails_at and path.endswith(behaviour.fails_at)):
            return Answer(500), behaviour.answers_in_s
        told = container.environment
        release = container.behaviour.answers_as or told["RELEASE"]
        document = {
            "service": told["SERVICE"],
            "release": release,
            "revision": told["REVISION"],
            "config_hash": told["CONFIG_HASH"],
            "replica": told["REPLICA"],
        }
        headers = {"x-release": release, "x-replica": told["REPLICA"]}
        return Answer(200, json.dumps(document).encode(), headers), behaviour.answers_in_s
