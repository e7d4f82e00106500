"""Calls the Docker engine's HTTP API over its Unix socket.

https://docs.docker.com/reference/api/engine/version/v1.43/
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlencode

SOCKET = "/var/run/docker.sock"
NOT_FOUND, CONFLICT = 404, 409


DEFAULT_STOP_GRACE_S = 10.0
"""The engine's own default."""


class EngineApiError(Exception):
    """The engine doesn't answer or refuses a request. `status` is its HTTP status, None without an answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class EngineClient:
    """A client of one engine. Each call uses a connection of its own and raises EngineApiError if it fails."""

    def __init__(self, path: str = SOCKET, *, timeout_s: float = 10.0) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def get(self, path: str, **query: str) -> Any:
        """Returns the JSON document at a path."""
        with self._request("GET", path, query, self._timeout_s) as response:
            try:
                return json.load(response)
            except ValueError as error:
                raise EngineApiError(f"GET {path}: {error}", response.status) from error

    def deployed_containers(self) -> list[dict[str, Any]]:
        """Returns the engine's list of the containers that the deploy tool started, running or not."""
        filters = json.dumps({"label": ["py-cicd.name"]})
        found: list[dict[str, Any]] = self.get("/containers/json", all="1", filters=filters)
        return found

    def start(self, container: str) -> None:
        """Starts a container. One that runs already is no error."""
        self._post(f"/containers/{container}/start")

    def kill(self, container: str) -> None:
        """Kills a container. The engine won't start it again."""
        self._post(f"/containers/{container}/kill", signal="SIGKILL")

    def stop_grace_s(self, container: str) -> float:
        """Returns how many seconds a container has between SIGTERM and SIGKILL, by its own configuration."""
        config = self.get(f"/containers/{container}/json").get("Config") or {}
        return float(config.get("StopTimeout") or DEFAULT_STOP_GRACE_S)

    def signal(self, container: str) -> bool:
        """Sends a container the signal that asks it to stop, and doesn't wait. The engine won't start it again.

        Returns False if it doesn't run any more.
        """
        try:
            found = self.get(f"/containers/{container}/json")
            stop_signal = found["Config"].get("StopSignal") or "SIGTERM"
            self._post(f"/containers/{container}/kill", signal=stop_signal)
        except EngineApiError as error:
            if error.status in (NOT_FOUND, CONFLICT):
                return False
            raise
        return True

    def remove(self, container: str) -> None:
        """Removes a container, killing it if it runs. A missing one is no error."""
        try:
            with self._request(
                "DELETE", f"/containers/{container}", {"force": "1"}, self._timeout_s
            ) as response:
                response.read()
        except EngineApiError as error:
            if error.status != NOT_FOUND:
                raise

    def processes(self, container: str) -> list[tuple[int, str]]:
        """Returns the id, as on the host, and the title of each process of a running container."""
        listed = self.get(f"/containers/{container}/top", ps_args="-eo pid,args")
        rows: list[list[str]] = listed["Processes"] or []
        return [(int(row[0]), " ".join(row[1:])) for row in rows]

    def error_lines(self, container: str, *, since: float) -> list[str]:
        """Returns the lines that a container has written to stderr since a time (seconds since 1970)."""
        query = {"stderr": "1", "since": f"{since:.6f}"}
        text = b""
        path = f"/containers/{container}/logs"
        with self._request("GET", path, query, self._timeout_s) as response:
            while len(header := response.read(8)) == 8:
                text += response.read(int.from_bytes(header[4:]))
        return text.decode(errors="replace").splitlines()

    def container_events(self, *actions: str) -> Iterator[str]:
        """Yields the action of each event of these kinds ("die", "start", ...) until the engine stops."""
        filters = json.dumps({"type": ["container"], "event": list(actions)})
        with self._request("GET", "/events", {"filters": filters}, None) as response:
            while line := response.readline():
                try:
                    yield str(json.loads(line).get("Action", ""))
                except ValueError as error:
                    raise EngineApiError(f"GET /events: {error}", response.status) from error

    def log_lines(self, container: str, *, since: float) -> Iterator[bytes]:
        """Yields the lines of a container's stdout after `since` (seconds since 1970), until the container ends."""
        query = {"follow": "1", "stdout": "1", "since": f"{since:.6f}"}
        with self._request("GET", f"/containers/{container}/logs", query, None) as response:
            rest = b""
            # Each frame is eight bytes (stream, length) and a payload; a long line spans several frames.
            while len(header := response.read(8)) == 8:
                payload = response.read(int.from_bytes(header[4:]))
                *lines, rest = (rest + payload).split(b"\n")
                yield from lines

    def _post(self, path: str, **query: str) -> None:
        with self._request("POST", path, query, self._timeout_s) as response:
            response.read()

    @contextmanager
    def _request(
        self, method: str, path: str, query: dict[str, str], timeout_s: float | None
    ) -> Iterator[HTTPResponse]:
        """Sends a request and translates errors, also those of reading the response. None waits forever."""
        with closing(_UnixConnection(self._path, timeout_s)) as connection:
            try:
                connection.request(method, f"{path}?{urlencode(query)}" if query else path)
                response = connection.getresponse()
                if response.status >= 400:
                    reason = response.read().decode(errors="replace").strip()[:300]
                    text = f"{method} {path}: HTTP {response.status} {reason}".strip()
                    raise EngineApiError(text, response.status)
                yield response
            except (OSError, HTTPException) as error:
                raise EngineApiError(
                    f"the engine doesn't answer {method} {path}: {error}"
                ) from error


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
