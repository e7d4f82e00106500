"""Reads from routes.conf which replicas the edge sends users to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

HEADER = "# py-cicd edge: "
"""What the first line of routes.conf begins with; JSON follows."""

FORMAT = 1
"""The highest format of that JSON that this version reads."""


class RoutesError(Exception):
    """It can't be told what the edge serves."""


@dataclass(frozen=True)
class Served:
    """A service's live release and the addresses of the replicas that the edge sends users to."""

    release: str
    addresses: frozenset[str]


def served(routes: str) -> dict[str, Served]:
    """Returns what serves each service's users, by service, from the text of routes.conf; nothing from an empty text.

    Raises RoutesError for a text whose first line was lost, is damaged or is of a newer format.
    """
    if not routes:
        return {}
    first = routes.partition("\n")[0]
    if not first.startswith(HEADER):
        raise RoutesError("routes.conf has lost its first line, the edge's state")
    try:
        document = json.loads(first.removeprefix(HEADER))
        if document.get("format", 1) > FORMAT:
            raise RoutesError(f"routes.conf has format {document['format']}, which is newer")
        return {route["service"]: _served(route) for route in document["routes"] if route["live"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RoutesError(
            f"the edge's state can't be read: {type(error).__name__} {error}"
        ) from error


def _served(route: dict[str, Any]) -> Served:
    servers = [
        server
        for upstream in route["upstreams"]
        if upstream["release"] == route["live"]
        for server in upstream["servers"]
    ]
    return Served(route["live"], frozenset(server.partition(":")[0] for server in servers))
