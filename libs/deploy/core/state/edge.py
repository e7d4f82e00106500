"""The routes of a host's edge, as a value.

Two services on one host name share a server block, so all routes of a host are one text (`core.stacks.nginx_conf`
renders it). Its first line holds this value as JSON: one file, replaced atomically, is both what nginx runs and what
the next deploy observes. There is no second record of what is live.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from deploy.core.state.json_record import from_json, to_json

HEADER = "# py-cicd edge: "


@dataclass(frozen=True)
class Upstream:
    """One release's replicas on this host. `servers` are `address:port`; no other release reuses them until pruned.

    Addresses instead of names: a reload, a restart of the edge or a reboot then waits for no resolver (docs/adr/0004).
    """

    release: str
    servers: tuple[str, ...]


@dataclass(frozen=True)
class EdgeRoute:
    """The route of one service.

    `live` and `candidate` are the ids of releases in `upstreams`. `host` "" matches any host name. `share` is the
    percentage of users' requests that the candidate gets before it is live. During `maintenance` users get 503 with a
    page, while the preview listener still reaches the replicas.
    """

    service: str
    path: str
    host: str
    live: str | None = field(default=None, metadata={"none": ""})
    candidate: str | None = field(default=None, metadata={"none": ""})
    upstreams: tuple[Upstream, ...] = ()
    share: int = 0
    maintenance: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether users' requests are split between the live release and the candidate."""
        two = self.live and self.candidate and self.live != self.candidate
        return bool(two) and 0 < self.share < 100

    def share_out(self, percent: int) -> EdgeRoute:
        """Returns the route with this share of the requests sent to the candidate."""
        return replace(self, share=percent)

    def offer(self, upstream: Upstream) -> EdgeRoute:
        """Returns the route with this upstream as its candidate."""
        others = tuple(other for other in self.upstreams if other.release != upstream.release)
        return replace(self, candidate=upstream.release, upstreams=(*others, upstream), share=0)

    def point(self, release: str) -> EdgeRoute:
        """Returns the route with `release` live. All upstreams stay, so that a revert can point back."""
        return replace(self, live=release, share=0)

    def settle(self) -> EdgeRoute:
        """Returns the route with the live release alone."""
        kept = tuple(upstream for upstream in self.upstreams if upstream.release == self.live)
        return replace(self, candidate=None, upstreams=kept, share=0)


@dataclass(frozen=True)
class EdgeState:
    """All routes of one host's edge, ordered by service."""

    routes: tuple[EdgeRoute, ...] = ()

    def route(self, service: str) -> EdgeRoute | None:
        """Returns the service's route, None if the edge has none."""
        return next((route for route in self.routes if route.service == service), None)

    def live(self, service: str) -> str | None:
        """Returns the id of the service's live release, None if no release is live."""
        route = self.route(service)
        return route.live if route else None

    def with_route(self, route: EdgeRoute) -> EdgeState:
        """Returns the state with the service's route replaced or added."""
        others = [other for other in self.routes if other.service != route.service]
        return EdgeState(tuple(sorted([*others, route], key=lambda route: route.service)))


def parse_edge(text: str) -> EdgeState:
    """Returns the state in the text's first line; a text without that line, as one written by hand, has no routes.

    Raises ValueError for a line that holds something else, or a key of a newer version: the text is written again from
    what is read, so a key that was ignored would be lost.
    """
    first = text.partition("\n")[0]
    if not first.startswith(HEADER):
        return EdgeState()
    document = json.loads(first.removeprefix(HEADER))
    state = from_json(EdgeState, document)
    if _keys(document) - _keys(to_json(state)) or "routes" not in document:
        raise ValueError(f"the edge's state is of another version: {first[:300]}")
    return state


def _keys(document: object) -> set[str]:
    """Returns the keys of all objects in a JSON document."""
    match document:
        case dict():
            return set(document).union(*map(_keys, document.values()))
        case list():
            return set[str]().union(*map(_keys, document))
        case _:
            return set()


def generation_of(state: EdgeState) -> str:
    """Returns the name of a state; the preview listener answers with it, which shows that a reload took effect."""
    return hashlib.sha256(dump_edge(state).encode()).hexdigest()[:16]


def upstream_name(service: str, release: str) -> str:
    """Returns the name of a release's upstream and shared memory zone, the same over every reload."""
    return f"{service}_{release}".replace("-", "_")


def direct_path(service: str, release: str) -> str:
    """Returns the path under which the preview listener answers with one release, whichever is live."""
    return f"/-/{upstream_name(service, release)}"


def dump_edge(state: EdgeState) -> str:
    """Returns the state as one line of JSON."""
    return json.dumps(to_json(state), separators=(",", ":"), sort_keys=True)
