"""Simulates a host's Docker engine: images, and containers whose state follows from the simulated clock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.core.state.draining import DRAINS_LABEL


@dataclass(frozen=True)
class ContainerBehaviour:
    """How the containers of an image behave. Times are seconds after the start; None is never.

    From `unready_after_s` on it answers that it isn't ready, and lives.
    Every `fails_every`-th answer is a 500 (0: none), and every answer for paths that end with `fails_at` ("": no path).
    An answer takes about `answers_in_s`. `logs` is what it prints before its last line. `health_status` is its answer
    to the health check once it is healthy. It answers nothing at its own port if it `listens_at` another address and
    port. Without `has_version` it has no page /version; `check_output` is what the engine's health check prints.
    """

    healthy_after_s: float | None = 1.5
    crashes_after_s: float | None = None
    dies_after_s: float | None = None
    unready_after_s: float | None = None
    answers_as: str = ""
    fails_every: int = 0
    fails_at: str = ""
    answers_in_s: float = 0.02
    command_ends_with: int = 0
    logs: str = ""
    health_status: int = 200
    listens_at: tuple[str, int] | None = None
    has_version: bool = True
    check_output: str = "GET /readyz: HTTP 503"


GOOD = ContainerBehaviour()


@dataclass
class SimulatedContainer:
    """One container. Its state follows from its behaviour and the time since its start."""

    name: str
    project: str
    image: str
    labels: Mapping[str, str]
    behaviour: ContainerBehaviour
    started_s: float
    address: str = ""
    port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    has_check: bool = True
    restarted: int = 0
    requests: int = 0
    cpu_shares: int = 1024
    signalled: bool = False

    @property
    def id(self) -> str:
        """Its id, another one after each creation."""
        return hashlib.sha256(f"{self.name}{self.started_s}".encode()).hexdigest()

    @property
    def pid(self) -> int:
        """The id of its first process on the host."""
        return 1000 + int(self.address.rpartition(".")[2] or 0)

    def sockets(self) -> str:
        """Returns /proc/PID/net/tcp: what listens in it."""
        address, port = self.behaviour.listens_at or ("0.0.0.0", self.port)  # noqa: S104
        packed = bytes(map(int, address.split(".")))[::-1].hex().upper()
        return f"   0: {packed}:{port:04X} 00000000:0000 0A 0 0 0\n"

    def restarts(self, now_s: float) -> int:
        """Returns how often the engine has restarted it."""
        period = self.behaviour.crashes_after_s
        return self.restarted + (int((now_s - self.started_s) // period) if period else 0)

    def status(self, now_s: float) -> str:
        """Returns State.Status of `docker inspect`."""
        dies = 0 if self.signalled else self.behaviour.dies_after_s
        return "exited" if dies is not None and now_s - self.started_s >= dies else "running"

    def health(self, now_s: float) -> str:
        """Returns State.Health.Status of `docker inspect`, "" without a health check."""
        if not self.has_check:
            return ""
        after = self.behaviour.healthy_after_s
        wrong = self.behaviour.health_status != 200 or self.behaviour.listens_at
        if after is None or self.behaviour.crashes_after_s or wrong:
            return "starting" if now_s - self.started_s < 30 else "unhealthy"
        return "healthy" if now_s - self.started_s >= after else "starting"

    def is_ready(self, now_s: float) -> bool:
        """Returns whether it answers its health path with 200."""
        after = self.behaviour.unready_after_s
        return self.serves(now_s) and (after is None or now_s - self.started_s < after)

    def serves(self, now_s: float) -> bool:
        """Returns whether it runs and is healthy."""
        return self.status(now_s) == "running" and self.health(now_s) in ("", "healthy")

    def inspected(self, now_s: float) -> dict[str, Any]:
        """Returns its element of `docker inspect`, with the fields that the deploy tool reads."""
        state: dict[str, Any] = {
            "Status": self.status(now_s),
            "Pid": self.pid,
            "OOMKilled": False,
            "ExitCode": 3 if self.restarts(now_s) or self.status(now_s) == "exited" else 0,
            "StartedAt": "2026-11-28T10:00:00.100000001Z",
            "FinishedAt": "2026-11-28T10:00:00.500000001Z",
        }
        if health := self.health(now_s):
            output = "" if health == "healthy" else self.behaviour.check_output
            state["Health"] = {"Status": health, "Log": [{"Output": output}]}
        return {
            "Id": self.id,
            "Name": f"/{self.name}",
            "Path": "gunicorn",
            "Args": ["app.web:create_app()"],
            "RestartCount": self.restarts(now_s),
            "State": state,
            "Config": {"Labels": dict(self.labels), "Image": self.image},
            "NetworkSettings": {"Networks": {"py-cicd": {"IPAddress": self.address}}},
        }


class EngineRefusedError(Exception):
    """The engine refused a command. The text is its error output."""


@dataclass
class SimulatedEngine:
    """Images, the network and containers of one host. `behaviours` are by image reference.

    Its watchdog finishes drains if `watchdog_drains`; those of earlier versions don't.
    """

    behaviours: dict[str, ContainerBehaviour] = field(default_factory=dict)
    version: str = "28.5.2"
    compose_version: str = "2.40.3"
    disk_free_bytes: int = 40_000_000_000
    network: bool = False
    images: set[str] = field(default_factory=set)
    containers: dict[str, SimulatedContainer] = field(default_factory=dict)
    watchdog_drains: bool = True

    def create_network(self) -> None:
        """Creates the network. Raises EngineRefusedError if it exists."""
        if self.network:
            raise EngineRefusedError("network with name py-cicd already exists")
        self.network = True

    def up(
        self,
        compose: str,
        image: str,
        project: str,
        now_s: float,
        *,
        most: int = 999,
        cpu_shares: int = 1024,
    ) -> None:
        """Starts the services of a release that don't run, at most `most` of them, as if interrupted then."""
        self._check(image)
        document = json.loads(compose.replace("$$", "$"))
        started = [(n, s) for n, s in document["services"].items() if "profiles" not in s]
        for name, service in started[:most]:
            found = self.containers.get(name)
            if found is not None and found.status(now_s) == "running":
                continue
            address = service["networks"]["edge"]["ipv4_address"]
            if any(c.address == address for c in self.containers.values() if c.name != name):
                raise EngineRefusedError(f"Address already in use: {address}")
            environment = service["environment"]
            self.containers[name] = SimulatedContainer(
                name=service["container_name"],
                project=project,
                image=image,
                labels=service["labels"],
                behaviour=self.behaviours.get(image, GOOD),
                started_s=now_s,
                address=address,
                port=int(environment["PORT"]),
                environment=environment,
                cpu_shares=cpu_shares,
            )

    def share_fully(self, names: list[str]) -> None:
        """Gives containers 1024 CPU shares. Raises EngineRefusedError if one doesn't exist."""
        for name in names:
            if name not in self.containers:
                raise EngineRefusedError(f"No such container: {name}")
            self.containers[name].cpu_shares = 1024

    def up_stack(self, name: str, image: str, key: str, project: str, now_s: float) -> bool:
        """Starts a stack's container, or replaces it if its image or key changed. Returns whether it did either."""
        self._check(image)
        container = project
        found = self.containers.get(container)
        same = found is not None and (found.image, found.labels["py-cicd.key"]) == (image, key)
        if found is not None and same and found.status(now_s) == "running":
            return False
        labels = {"py-cicd.name": name, "py-cicd.key": key}
        if name == "watchdog" and self.watchdog_drains:
            labels[DRAINS_LABEL] = "1"
        behaviour = self.behaviours.get(image, GOOD)
        self.containers[container] = SimulatedContainer(
            container, project, image, labels, behaviour, now_s, has_check=False
        )
        return True

    def down(self, project: str) -> None:
        """Stops and removes the containers of a compose project."""
        kept = {name: c for name, c in self.containers.items() if c.project != project}
        self.containers = kept

    def remove(self, names: list[str]) -> None:
        """Removes containers by name. As with `--force`, missing ones are no error."""
        for name in names:
            self.containers.pop(name, None)

    def stop_stack(self, name: str, key: str) -> None:
        """Stops and removes a stack's containers with this key."""
        labels = {"py-cicd.name": name, "py-cicd.key": key}
        found = [n for n, c in self.containers.items() if labels.items() <= c.labels.items()]
        self.remove(found)

    def remove_ids(self, ids: list[str]) -> None:
        """Kills and removes containers by id. Missing ones are no error."""
        self.remove([name for name, c in self.containers.items() if c.id in ids])

    def halt_stack(self, name: str) -> None:
        """Stops the containers of a stack, whatever their key."""
        for container in self._stack(name):
            container.behaviour = ContainerBehaviour(dies_after_s=0)

    def remove_stack(self, name: str) -> None:
        """Removes the containers of a stack, whatever their key."""
        self.remove([container.name for container in self._stack(name)])

    def _stack(self, name: str) -> list[SimulatedContainer]:
        return [c for c in self.containers.values() if c.labels["py-cicd.name"] == name]

    def remove_images(self, images: list[str]) -> None:
        """Removes unused images. Raises EngineRefusedError if a container uses one of them."""
        used = {container.image for container in self.containers.values()}
        self.images -= set(images) - used
        if kept := set(images) & used:
            raise EngineRefusedError(f"conflict: unable to remove {min(kept)}: in use")

    def at(self, address: str) -> SimulatedContainer | None:
        """Returns the container behind `ip:port`."""
        ip, _, port = address.partition(":")
        found = (c for c in self.containers.values() if (c.address, str(c.port)) == (ip, port))
        return next(found, None)

    def _check(self, image: str) -> None:
        if not self.network:
            raise EngineRefusedError("network py-cicd declared as external, but could not be found")
        if image not in self.images:
            raise EngineRefusedError(f"pull access denied for {image}")
