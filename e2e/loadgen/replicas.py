"""Single GETs on fresh connections, to find out which replicas answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from types import MappingProxyType
from urllib.parse import urlsplit

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Answer:
    """The response to one GET. `status` is 0 and `replica` empty if no complete response arrived."""

    status: int = 0
    replica: str = ""


def get(
    url: str, path: str = "/version", headers: Mapping[str, str] = MappingProxyType({})
) -> Answer:
    """Sends one GET on a connection of its own. A failure is an Answer too."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={**headers, "Connection": "close"})
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException):
        return Answer()
    finally:
        connection.close()
    return Answer(response.status, response.headers.get("X-Replica", ""))


def find_replicas(
    url: str,
    *,
    count: int,
    path: str = "/version",
    within_s: float = 15.0,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> frozenset[str]:
    """Returns the names of the replicas that answer with 200.

    Sends GETs until `count` different replicas have answered or the time is over.
    """
    found: set[str] = set()
    deadline = time.monotonic() + within_s
    while len(found) < count and time.monotonic() < deadline:
        answer = get(url, path, headers)
        if answer.status == 200 and answer.replica:
            found.add(answer.replica)
    return frozenset(found)
