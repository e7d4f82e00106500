"""What the edge of a host routes, as a value, and its nginx text; never touches nginx.

Two services on one host name share a server block, so all routes of a host are one text.

The text's first line carries the value itself, so that one file, replaced atomically, is both what nginx runs
and what the next deploy observes: there is no second record of what is live.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

HEADER = "# py-cicd edge: "


@dataclass(frozen=True)
class Upstream:
    """One release's replicas on this host: `servers` are `address:port`, no other release's until pruned.

    Addresses, not names: a reload, a restart of the edge or a reboot then waits for no resolver (docs/adr/0004).
    """

    release: str
    servers: tuple[str, ...]


@dataclass(frozen=True)
class EdgeRoute:
    """A service at the edge.

    `live` and `candidate` name one of `upstreams` or are "". `host` "" is any host name. `share` is how many of a
    hundred users' requests the candidate gets before it is live. In `maintenance` users get 503 with a page, and the
    preview listener the replicas as ever.
    """

    service: str
    path: str
    host: str
    live: str = ""
    candidate: str = ""
    upstreams: tuple[Upstream, ...] = ()
    share: int = 0
    maintenance: bool = False

    @property
    def is_shared(self) -> bool:
        """True if users are sent to both releases."""
        two = "" not in (self.live, self.candidate) and self.live != self.candidate
        return two and 0 < self.share < 100

    def share_out(self, percent: int) -> EdgeRoute:
        """Returns the route with this share of the requests sent to the candidate."""
        return replace(self, share=percent)

    def offer(self, upstream: Upstream) -> EdgeRoute:
        """Returns the route with this upstream as its candidate."""
        others = tuple(u for u in self.upstreams if u.release != upstream.release)
        return replace(self, candidate=upstream.release, upstreams=(*others, upstream), share=0)

    def point(self, release: str) -> EdgeRoute:
        """Returns the route with `release` live; all upstreams stay, for the way back."""
        return replace(self, live=release, share=0)

    def settle(self) -> EdgeRoute:
        """Returns the route with nothing but the live release."""
        kept = tuple(u for u in self.upstreams if u.release == self.live)
        return replace(self, candidate="", upstreams=kept, share=0)


@dataclass(frozen=True)
class EdgeState:
    """All routes of one host's edge, ordered by service."""

    routes: tuple[EdgeRoute, ...] = ()

    def route(self, service: str) -> EdgeRoute | None:
        """Returns the service's route, None if the edge doesn't know it."""
        return next((route for route in self.routes if route.service == service), None)

    def live(self, service: str) -> str:
        """Returns the service's live release, "" if there is none."""
        route = self.route(service)
        return route.live if route else ""

    def with_route(self, route: EdgeRoute) -> EdgeState:
        """Returns the state with the service's route replaced or added."""
        others = [other for other in self.routes if other.service != route.service]
        return EdgeState(tuple(sorted([*others, route], key=lambda each: each.service)))


def parse_edge(text: str) -> EdgeState:
    """Reads the value back from the text's first line. A text without one (by hand) has no routes."""
    first = text.partition("\n")[0]
    if not first.startswith(HEADER):
        return EdgeState()
    return EdgeState(
        tuple(_route(each) for each in json.loads(first.removeprefix(HEADER))["routes"])
    )


def _route(data: dict[str, Any]) -> EdgeRoute:
    upstreams = tuple(
        Upstream(each["release"], tuple(each["servers"])) for each in data["upstreams"]
    )
    return EdgeRoute(**{**data, "upstreams": upstreams})


def generation_of(state: EdgeState) -> str:
    """Names a state; the preview listener answers it and the edge's key: that a reload took effect can be told."""
    return hashlib.sha256(dump_edge(state).encode()).hexdigest()[:16]


def upstream_name(service: str, release: str) -> str:
    """Names a release's upstream and zone, the same over every reload."""
    return f"{service}_{release}".replace("-", "_")


def direct_path(service: str, release: str) -> str:
    """Names the path under which the preview listener answers with one release, whichever is live."""
    return f"/-/{upstream_name(service, release)}"


def dump_edge(state: EdgeState) -> str:
    """Writes the state as one line of JSON."""
    return json.dumps(asdict(state), separators=(",", ":"), sort_keys=True)
