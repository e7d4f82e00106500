"""The state of a simulated host: its engine, files and edges, and how its edge answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from deploy.core.commands import paths
from deploy.core.ports import Answer, Clock, Completed
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.edge import EdgeState, dump_edge, named_state, parse_edge, state_name
from deploy.testing.fleet.access_log import AccessLog, Logged
from deploy.testing.fleet.docker import SimulatedContainer, SimulatedEngine
from deploy.testing.fleet.files import extended
from deploy.testing.fleet.nginx import Nginx

BROKEN = "/broken"
"""The path on which an image with `ContainerBehaviour(fails_at=BROKEN)` answers 500."""


@dataclass(frozen=True)
class Visits:
    """Requests to the public port, `broken` of them to `BROKEN`, the others to `/`."""

    requests: int
    broken: int = 0
    request_id: str = ""


@dataclass
class SimulatedHost:
    """One host.

    `locked_by` is the token of the lock's holder, "" if it is free. `sources` are the images that can be pulled.
    `log` is what the edge logged, `visits` are requests that arrive before the log is counted. `tasks` are the one-off
    commands that ran, `task_ends` is the result of each. `watchdog_steps` counts the steps of drains that the watchdog
    has done; it ends before the one with the number `watchdog_dies_before`.
    """

    name: str
    clock: Clock
    sources: set[str]
    engine: SimulatedEngine = field(default_factory=SimulatedEngine)
    files: dict[str, bytes] = field(default_factory=dict)
    edges: list[Nginx] = field(default_factory=list)
    refused_by_nginx: set[str] = field(default_factory=set)
    locked_by: str = ""
    login_refused: bool = False
    pull_refused: bool = False
    stragglers: bool = False
    taken_ports: tuple[int, ...] = ()
    edge_lingers_s: float = 3.0
    requests: int = 0
    log: AccessLog = field(default_factory=AccessLog)
    visits: tuple[Visits, ...] = ()
    visited_since: set[float] = field(default_factory=set)
    tasks: list[str] = field(default_factory=list)
    watchdog_dies_before: int | None = None
    watchdog_steps: int = 0
    task_ends: Completed = field(default_factory=lambda: Completed(0, "did it\n"))

    def answer(self, port: int, host: str, path: str, request_id: str = "") -> Answer:
        """Returns the edge's answer to a request. Port 80 is the public one, whatever port it is published on."""
        accepting = [nginx for nginx in self.running_edges() if nginx.workers]
        if not accepting:
            return Answer(0, b"connection refused")
        self.requests += 1
        nginx = accepting[self.requests % len(accepting)]
        location = nginx.conf.find(port, host, path)
        if location is None:
            return Answer(404)
        if location.answer is not None:
            body = location.answer[1].replace("$hostname", nginx.key)
            headers = {"retry-after": location.retry_after} if location.retry_after else {}
            return Answer(location.answer[0], body.encode(), headers)
        upstream, server = location.chosen(self.requests // len(accepting))
        answer, took_s = self._request(self.engine.at(server), path)
        # Response times vary by up to 50 %, so that the releases have distributions to compare.
        milliseconds = int(took_s * 1000 * (0.8 + self.requests * 7 % 10 / 20))
        now = self.log.now(self.clock.monotonic())
        self.log.requests.append(
            Logged(now, request_id, upstream, server, answer.status, milliseconds)
        )
        return answer

    def answer_directly(self, server: str, path: str) -> Answer:
        """Returns a replica's answer past the edge, at /version or at its health path.

        `server` is its address and port.
        """
        container, now_s = self.engine.at(server), self.clock.monotonic()
        if container is None or container.status(now_s) != "running":
            return Answer(0, b"connection refused")
        behaviour = container.behaviour
        if behaviour.listens_at:
            return Answer(0, b"connection refused")
        if path.endswith("/version"):
            return self._version(container) if behaviour.has_version else Answer(404)
        if behaviour.health_status != 200:
            return Answer(behaviour.health_status)
        return Answer(200 if container.is_ready(now_s) else 503)

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
    def edge_state(self) -> EdgeState:
        """The edge's state as its files have it. Raises ValueError if it can't be read."""
        text = self.files.get(paths.ROUTES, b"").decode()
        named = named_state(text)
        stored = self.files.get(paths.state_file(named)) if named else None
        return parse_edge(text, None if stored is None else stored.decode())

    def write_edge_state(self, state: EdgeState) -> None:
        """Writes a state as a person would, without a reload."""
        self.files[paths.state_file(state_name(state))] = dump_edge(state).encode()
        self.files[paths.ROUTES] = render_edge(state).encode()

    @property
    def nginx(self) -> Nginx:
        """The newest edge."""
        return self.running_edges()[-1]

    def running_edges(self) -> list[Nginx]:
        """Returns the running edges. One that quits still runs until its last worker has ended."""
        for nginx in self.edges:
            nginx.tick(self.clock.monotonic())
        self.edges = [nginx for nginx in self.edges if nginx.workers or nginx.leaving]
        return self.edges

    def folders(self, service: str) -> set[str]:
        """Returns the ids of the releases that have a folder on this host."""
        start = f"{paths.ROOT}/services/{service}/releases/"
        return {p.removeprefix(start).split("/")[0] for p in self.files if p.startswith(start)}

    def secrets_of(self, container: SimulatedContainer) -> dict[str, str]:
        """Returns the secrets that a replica sees, in /run/secrets and in its environment."""
        label = container.labels["py-cicd.release"]
        folder = f"{paths.release_folder(container.labels['py-cicd.service'], label)}/secrets"
        secrets = {
            path.rpartition("/")[2]: content.decode()
            for path, content in self.files.items()
            if path.startswith(f"{folder}/files/")
        }
        names = extended(self.files.get(f"{folder}/replica.json", b""))
        return secrets | {name: container.environment[name] for name in names}

    def _request(self, container: SimulatedContainer | None, path: str) -> tuple[Answer, float]:
        if container is None or not container.serves(self.clock.monotonic()):
            return Answer(502), 0.001
        behaviour = container.behaviour
        container.requests += 1
        turn = behaviour.fails_every and container.requests % behaviour.fails_every == 0
        if turn or (behaviour.fails_at and path.endswith(behaviour.fails_at)):
            return Answer(500), behaviour.answers_in_s
        return self._version(container), behaviour.answers_in_s

    def _version(self, container: SimulatedContainer) -> Answer:
        environment = container.environment
        release = container.behaviour.answers_as or environment["RELEASE"]
        document = {
            "service": environment["SERVICE"],
            "release": release,
            "revision": environment["REVISION"],
            "config_hash": environment["CONFIG_HASH"],
            "replica": environment["REPLICA"],
        }
        headers = {"x-release": release, "x-replica": environment["REPLICA"]}
        return Answer(200, json.dumps(document).encode(), headers)
