"""The routes of a host's edge, as a value.

Two services on one host name share a server block, so all routes of a host are one text (`core.stacks.nginx_conf`
renders it). Its first line names a file by the SHA-256 of its content, which is this value as JSON. The file is written
first and never changed, so replacing the text atomically is the only commit: it changes at once what nginx runs and
what the next deploy observes. There is no second record of what is live (docs/adr/0042).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace

from deploy.core.state.json_record import (
    UNKNOWN,
    UnknownKeys,
    from_json,
    load,
    refuse_newer,
    to_json,
)

HEADER = "# py-cicd edge: "
HEADER_FORMAT = 2
"""The highest format of the first line that this version reads. In 1 the line holds the state itself."""

STATE_FORMAT = 1
"""The highest format of a state that this version reads."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

# What the rendered text can hold without another meaning to nginx.
_RELEASE = re.compile(r"r[0-9]{6,12}-[0-9a-z]+(-dirty)?")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PATH = re.compile(r"/[^\s;{}\"'\\$#]*")
_HOST = re.compile(r"[A-Za-z0-9_.*-]*")
_SERVER = re.compile(r"[A-Za-z0-9_.\[\]:-]+:[0-9]{1,5}")


@dataclass(frozen=True)
class Upstream:
    """One release's replicas on this host. `servers` are `address:port`; no other release reuses them until pruned.

    Addresses instead of names: a reload, a restart of the edge or a reboot then waits for no resolver (docs/adr/0004).
    `unknown` are keys that a newer version wrote; two upstreams with the same replicas are equal whatever these are.
    """

    release: str
    servers: tuple[str, ...]
    unknown: UnknownKeys = field(default=(), metadata=UNKNOWN, compare=False)


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
    unknown: UnknownKeys = field(default=(), metadata=UNKNOWN)

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
        known = next((each for each in self.upstreams if each.release == upstream.release), None)
        offered = replace(known, servers=upstream.servers) if known else upstream
        return replace(self, candidate=upstream.release, upstreams=(*others, offered), share=0)

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
    unknown: UnknownKeys = field(default=(), metadata=UNKNOWN)

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
        routes = tuple(sorted([*others, route], key=lambda route: route.service))
        return replace(self, routes=routes)


def header_of(state: EdgeState) -> str:
    """Returns the first line of the text: nginx refuses one above about 4 KB, so it only names the state's file.

    A state without routes has no file. An edge starts with it before there is any service.
    """
    if state == EdgeState():
        return HEADER + dump_edge(state)
    return f'{HEADER}{{"format":{HEADER_FORMAT},"state":"{state_name(state)}"}}'


def state_name(state: EdgeState) -> str:
    """Returns the name of the state's file: the SHA-256 of `dump_edge`."""
    return hashlib.sha256(dump_edge(state).encode()).hexdigest()


def named_state(text: str) -> str | None:
    """Returns the name of the state's file in the first line of a text, None if it names none."""
    found = re.match(HEADER + r'\{.*"state": *"([0-9a-f]{64})"', text.partition("\n")[0])
    return found[1] if found else None


def parse_edge(text: str, stored: str | None = None) -> EdgeState:
    """Returns the state of a text; one without the first line, as one written by hand, has no routes.

    `stored` is the content of the state's file, None if there is no such file or the first line names none. Keys of a
    newer version are kept. Raises NewerFormatError for a higher format, and ValueError for anything else that isn't a
    state from which the text can be written again.
    """
    first = text.partition("\n")[0]
    if not first.startswith(HEADER):
        return EdgeState()
    found = load(first.removeprefix(HEADER))
    refuse_newer(found, HEADER_FORMAT)
    if not isinstance(found, dict) or "state" not in found:
        return parse_state(first.removeprefix(HEADER))
    name = found["state"]
    if not isinstance(name, str) or not _SHA256.fullmatch(name):
        raise ValueError(f"state: {name!r} is no SHA-256"[:300])
    if stored is None:
        raise ValueError(f"state: its file {name} is missing")
    if hashlib.sha256(stored.encode()).hexdigest() != name:
        raise ValueError(f"state: its file {name} is damaged")
    return parse_state(stored)


def parse_state(text: str) -> EdgeState:
    """Returns the state that a JSON text holds. Raises what `parse_edge` raises."""
    document = load(text)
    refuse_newer(document, STATE_FORMAT)
    state = from_json(EdgeState, document)
    if "routes" not in document:
        raise ValueError("routes: is missing")
    services = [route.service for route in state.routes]
    if len(set(services)) != len(services):
        raise ValueError("routes: a service has two")
    for number, route in enumerate(state.routes):
        _check(route, f"routes[{number}]")
    return state


def _check(route: EdgeRoute, path: str) -> None:
    """Raises ValueError for a route that nginx would refuse or read as something else."""
    texts = [("service", route.service, _SERVICE), ("path", route.path, _PATH)]
    texts += [("host", route.host, _HOST)]
    texts += [("upstreams", upstream.release, _RELEASE) for upstream in route.upstreams]
    texts += [
        ("servers", server, _SERVER) for upstream in route.upstreams for server in upstream.servers
    ]
    for key, text, pattern in texts:
        if not pattern.fullmatch(text):
            raise ValueError(f"{path}.{key}: {text!r} is wrong"[:300])
    releases = [upstream.release for upstream in route.upstreams]
    if len(set(releases)) != len(releases):
        raise ValueError(f"{path}.upstreams: a release has two")
    if any(not upstream.servers for upstream in route.upstreams):
        raise ValueError(f"{path}.upstreams: a release has no servers")
    for key, release in (("live", route.live), ("candidate", route.candidate)):
        if release is not None and release not in releases:
            raise ValueError(f"{path}.{key}: {release!r} has no upstream"[:300])
    if not 0 <= route.share <= 100:
        raise ValueError(f"{path}.share: should be a percentage, not {route.share}"[:300])


GENERATION_LENGTH = 16


def generation_of(state: EdgeState) -> str:
    """Returns the name of a state; the preview listener answers with it, which shows that a reload took effect."""
    return state_name(state)[:GENERATION_LENGTH]


def upstream_name(service: str, release: str) -> str:
    """Returns the name of a release's upstream and shared memory zone, the same over every reload."""
    return f"{service}_{release}".replace("-", "_")


def direct_path(service: str, release: str) -> str:
    """Returns the path under which the preview listener answers with one release, whichever is live."""
    return f"/-/{upstream_name(service, release)}"


def dump_edge(state: EdgeState) -> str:
    """Returns the state as one line of JSON."""
    return json.dumps(to_json(state), separators=(",", ":"), sort_keys=True)
