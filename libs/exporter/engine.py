"""Reads from a Docker engine over its socket; it never sends anything but GET.

https://docs.docker.com/reference/api/engine/version/v1.43/
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

SOCKET = "/var/run/docker.sock"
LABEL = "py-cicd.name"
TIMEOUT_S = 10.0


class EngineError(Exception):
    """The engine doesn't answer, or not well."""


class _Socket(HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("engine", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """One engine; each call has a connection of its own."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path

    def get(self, path: str) -> Any:
        """Returns the JSON document at a path. Raises EngineError."""
        connection = _Socket(self._path, TIMEOUT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise EngineError(f"{path}: {answer.status}")
            return json.loads(body)
        except (OSError, HTTPException, ValueError) as error:
            raise EngineError(f"{path}: {error}") from error
        finally:
            connection.close()

    def containers(self) -> list[dict[str, Any]]:
        """All containers that the deploy tool started, those that stand still too."""
        filters = quote(json.dumps({"label": [LABEL]}))
        found: list[dict[str, Any]] = self.get(f"/containers/json?all=1&filters={filters}")
        return found

    def lines(self, container: str, *, since: float) -> Iterator[bytes]:
        """Yields what a container writes to stdout after `since` (seconds since 1970), until it ends.

        Raises EngineError.
        """
        connection = _Socket(self._path, None)
        try:
            connection.request(
                "GET", f"/containers/{container}/logs?follow=1&stdout=1&since={since:.6f}"
            )
            answer = connection.getresponse()
            if answer.status != 200:
                raise EngineError(f"logs of {container}: {answer.status}")
            rest = b""
            # Frames of eight bytes (stream, length) and a payload; a long line comes in several.
            while len(head := answer.read(8)) == 8:
                *whole, rest = (rest + answer.read(int.from_bytes(head[4:]))).split(b"\n")
                yield from whole
        except (OSError, HTTPException) as error:
            raise EngineError(f"logs of {container}: {error}") from error
        finally:
            connection.close()
