"""The Docker engine behind its socket: lists, starts and restarts containers, tells when something happens.

https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode

SOCKET = "/var/run/docker.sock"
LIMIT_S = 30.0
NETWORK = "py-cicd"
# What may mean that there is something to do. The rest is seen by the next look.
EVENTS = ("die", "oom", "stop", "start", "health_status")


class EngineError(Exception):
    """The engine doesn't answer or refuses; `code` is its HTTP status, 0 without an answer."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Container:
    """A container as a list tells it: `state` as in `docker ps`, `unhealthy` and `starting` by its own check.

    `address` is the one it was given for good on the replicas' network, whether it runs or not; "" for none.
    """

    id: str
    name: str
    labels: dict[str, str]
    state: str
    unhealthy: bool
    created: int
    starting: bool = False
    address: str = ""

    @classmethod
    def of(cls, listed: dict[str, Any]) -> Container:
        """Reads one element of the engine's list."""
        return cls(
            id=listed["Id"],
            name=(listed.get("Names") or ["/?"])[0].lstrip("/"),
            labels=listed.get("Labels") or {},
            state=listed["State"],
            unhealthy="(unhealthy)" in listed.get("Status", ""),
            created=int(listed.get("Created", 0)),
            starting="(health: starting)" in listed.get("Status", ""),
            address=_address(listed.get("NetworkSettings") or {}),
        )


def _address(settings: dict[str, Any]) -> str:
    found = (settings.get("Networks") or {}).get(NETWORK) or {}
    return str((found.get("IPAMConfig") or {}).get("IPv4Address", ""))


class Engine:
    """An engine, asked on a fresh connection each time. Raises EngineError."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path

    def containers(self) -> list[Container]:
        """Returns all containers that the deploy tool started, running or not."""
        filters = json.dumps({"label": ["py-cicd.name"]})
        found = json.loads(self._ask("GET", "/containers/json", all="1", filters=filters))
        return [Container.of(each) for each in found]

    def start(self, identity: str) -> None:
        """Starts a container; one that runs already is no failure."""
        self._ask("POST", f"/containers/{identity}/start")

    def restart(self, identity: str, grace_s: int) -> None:
        """Stops a container, killed after `grace_s`, and starts it."""
        self._ask("POST", f"/containers/{identity}/restart", t=str(grace_s))

    def events(self) -> Iterator[str]:
        """Yields what happens to containers, as it happens, for as long as the engine lives."""
        filters = json.dumps({"type": ["container"], "event": list(EVENTS)})
        with closing(_Connection(self._path, None)) as connection:
            try:
                connection.request("GET", f"/events?{urlencode({'filters': filters})}")
                answer = connection.getresponse()
                while line := answer.readline():
                    yield str(json.loads(line).get("Action", ""))
            except (OSError, HTTPException, ValueError) as error:
                raise EngineError(f"the engine's events ended: {error}") from error

    def _ask(self, verb: str, path: str, **query: str) -> bytes:
        with closing(_Connection(self._path, LIMIT_S)) as connection:
            try:
                connection.request(verb, f"{path}?{urlencode(query)}")
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, HTTPException) as error:
                raise EngineError(f"the engine doesn't answer: {error}") from error
        if answer.status >= 400:
            raise EngineError(body.decode(errors="replace").strip()[:300], answer.status)
        return body


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
