"""Reads from routes.conf which replicas the edge sends users to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HEADER = "# py-cicd edge: "
"""What the first line of routes.conf begins with; JSON follows."""

FORMAT = 2
"""The highest format of that JSON that this version reads: 1 is the state itself, 2 names the state's file."""


class RoutesError(Exception):
    """It can't be told what the edge serves."""


@dataclass(frozen=True)
class Served:
    """A service's live release and the addresses of the replicas that the edge sends users to."""

    release: str
    addresses: frozenset[str]


def served(routes: str, read_state: Callable[[str], str] = lambda name: "") -> dict[str, Served]:
    """Returns what serves each service's users, by service, from the text of routes.conf; nothing from an empty text.

    `read_state` returns the content of a state's file, or raises OSError. Raises RoutesError for a text whose first
    line was lost, is damaged or is of a newer format, or whose state's file is.
    """
    return (
        {}
        if not routes
        else _read(
            routes,
            read_state,
            lambda found: {route["service"]: _served(route) for route in found if route["live"]},
        )
    )


def routed_addresses(routes: str, read_state: Callable[[str], str]) -> frozenset[str]:
    """Returns the addresses of all replicas that the edge's state names, of any release. Raises RoutesError."""
    return _read(
        routes,
        read_state,
        lambda found: frozenset(
            server.partition(":")[0]
            for route in found
            for upstream in route["upstreams"]
            for server in upstream["servers"]
        ),
    )


def _read[T](
    routes: str, read_state: Callable[[str], str], of: Callable[[list[dict[str, Any]]], T]
) -> T:
    """Returns what `of` reads from the routes in the edge's state. Raises RoutesError if that can't be read."""
    first = routes.partition("\n")[0]
    if not first.startswith(HEADER):
        raise RoutesError("routes.conf has lost its first line, the edge's state")
    try:
        document = json.loads(first.removeprefix(HEADER))
        if "state" in document and document.get("format") == FORMAT:
            document = _stored(document["state"], read_state)
        elif document.get("format", 1) != 1:
            raise RoutesError(f"routes.conf has format {document['format']}, which is newer")
        return of(document["routes"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise RoutesError(
            f"the edge's state can't be read: {type(error).__name__} {error}"
        ) from error


def _stored(name: str, read_state: Callable[[str], str]) -> dict[str, Any]:
    """Returns the state in a file, whose name is the SHA-256 of its content."""
    text = read_state(name)
    if hashlib.sha256(text.encode()).hexdigest() != name:
        raise RoutesError(f"the file of the edge's state {name} is damaged")
    document: dict[str, Any] = json.loads(text)
    if document.get("format", 1) != 1:
        raise RoutesError(f"the edge's state has format {document['format']}, which is newer")
    return document


def _served(route: dict[str, Any]) -> Served:
    servers = [
        server
        for upstream in route["upstreams"]
        if upstream["release"] == route["live"]
        for server in upstream["servers"]
    ]
    return Served(route["live"], frozenset(server.partition(":")[0] for server in servers))
