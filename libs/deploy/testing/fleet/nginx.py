"""Simulates nginx: parses rendered routes, reloads with a delay, keeps old workers until their requests are done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

RELOAD_TAKES_S = 0.2
_WORKERS = 2

_UPSTREAM = re.compile(r"^upstream (\w+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_SERVER = re.compile(r"^server \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_SPLIT = re.compile(
    r"^split_clients \"\$request_id\" (\$\w+) \{\n    (\d+)% (\w+);\n    \* (\w+);\n\}",
    re.MULTILINE,
)
_LOCATION = re.compile(r"^    location (= )?(\S+) \{\n(.*?)^    \}", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Location:
    """A path prefix or exact path: a fixed `answer`, or an `upstream` with its `servers`.

    In a canary, `servers` are those of the live release, `share` is (percentage, upstream, servers) of the new one.
    """

    path: str
    exact: bool
    answer: tuple[int, str] | None
    upstream: str = ""
    servers: tuple[str, ...] = ()
    share: tuple[int, str, tuple[str, ...]] = (0, "", ())
    retry_after: str = ""

    def chosen(self, turn: int) -> tuple[str, str]:
        """Returns the upstream and the server of request number `turn`."""
        percent, upstream, servers = self.share
        if turn * 37 % 100 < percent:
            return upstream, servers[turn % len(servers)]
        return self.upstream, self.servers[turn % len(self.servers)]

    def takes(self, path: str) -> bool:
        """Returns whether this location serves a path."""
        return path == self.path if self.exact else path.startswith(self.path)


@dataclass(frozen=True)
class Server:
    """A server block. The default server of a port has the name ""."""

    port: int
    name: str
    locations: tuple[Location, ...]


@dataclass(frozen=True)
class NginxConf:
    """A parsed routes.conf."""

    servers: tuple[Server, ...] = ()

    def find(self, port: int, host: str, path: str) -> Location | None:
        """Returns the location that nginx chooses for a request, None for 404."""
        named = [s for s in self.servers if s.port == port and s.name == host and host]
        chosen = named or [s for s in self.servers if s.port == port and not s.name]
        found = [place for server in chosen[:1] for place in server.locations if place.takes(path)]
        return max(found, key=lambda place: (place.exact, len(place.path)), default=None)


def read_conf(text: str) -> NginxConf:
    """Parses a rendered routes.conf. Raises ValueError if nginx would refuse it."""
    upstreams = {name: _servers(body) for name, body in _UPSTREAM.findall(text)}
    if len(upstreams) != len(_UPSTREAM.findall(text)):
        raise ValueError("duplicate upstream")
    splits = {name: (int(n), new, old) for name, n, new, old in _SPLIT.findall(text)}
    servers = tuple(_server(body, upstreams, splits) for body in _SERVER.findall(text))
    if len({(server.port, server.name) for server in servers}) != len(servers):
        raise ValueError("conflicting server name")
    return NginxConf(servers)


def _servers(body: str) -> tuple[str, ...]:
    found = tuple(re.findall(r"^    server (\S+)[^;]*;", body, re.MULTILINE))
    if not found:
        raise ValueError("no servers are inside upstream")
    return found


type _Splits = Mapping[str, tuple[int, str, str]]


def _server(body: str, upstreams: Mapping[str, tuple[str, ...]], splits: _Splits) -> Server:
    listen = r"^    listen (?:127\.0\.0\.1:)?(\d+)( default_server reuseport)?;"
    port = re.search(listen, body, re.MULTILINE)
    name = re.search(r"^    server_name (\S+);", body, re.MULTILINE)
    if port is None or name is None or (name[1] == "_") != bool(port[2]):
        raise ValueError("a server without listen or server_name")
    locations = tuple(_location(found, upstreams, splits) for found in _LOCATION.findall(body))
    if len({(place.path, place.exact) for place in locations}) != len(locations):
        raise ValueError("duplicate location")
    return Server(int(port[1]), "" if name[1] == "_" else name[1], locations)


def _location(
    found: tuple[str, str, str], upstreams: Mapping[str, tuple[str, ...]], splits: _Splits
) -> Location:
    exact, path, body = found
    if shared := re.search(r"proxy_pass http://(\$\w+);", body):
        if shared[1] not in splits:
            raise ValueError(f"unknown variable {shared[1]}")
        percent, new, old = splits[shared[1]]
        if missing := {new, old} - set(upstreams):
            raise ValueError(f"host not found in upstream {min(missing)}")
        share = (percent, new, upstreams[new])
        return Location(path, bool(exact), None, old, upstreams[old], share)
    if passed := re.search(r"proxy_pass http://(\w+)/?;", body):
        if passed[1] not in upstreams:
            raise ValueError(f"host not found in upstream {passed[1]}")
        return Location(path, bool(exact), None, passed[1], upstreams[passed[1]])
    returned = re.search(r'return (\d+)(?: "([^"]*)")?;', body)
    if returned is None and "stub_status" not in body:
        raise ValueError(f"location {path} does nothing")
    answer = (int(returned[1]), returned[2] or "") if returned else (200, "Active connections: 1")
    retry_after = re.search(r'set \$edge_retry_after "(\d+)";', body)
    return Location(path, bool(exact), answer, retry_after=retry_after[1] if retry_after else "")


@dataclass
class Nginx:
    """The processes of one edge.

    `leaving` are workers that shut down: pid, end, configuration. `deaf` ignores reloads, `refuses` fails `nginx -t`.
    """

    conf: NginxConf
    text: str
    key: str = ""
    last_pid: int = 9
    workers: list[int] = field(default_factory=list)
    leaving: list[tuple[int, float, NginxConf]] = field(default_factory=list)
    pending: tuple[float, str] | None = None
    lingers_s: float = 3.0
    deaf: bool = False
    refuses: bool = False

    @classmethod
    def started(cls, text: str, key: str = "", *, first_pid: int = 9) -> Nginx:
        """Starts nginx with a configuration. Raises ValueError if nginx would refuse it."""
        nginx = cls(read_conf(text), text, key, first_pid)
        nginx.workers = nginx._fork()
        return nginx

    def check(self, text: str) -> None:
        """Checks a configuration like `nginx -t`. Raises ValueError with nginx's message."""
        if self.refuses:
            raise ValueError("[emerg] set to refuse")
        read_conf(text)

    def reload(self, text: str, now_s: float) -> None:
        """Handles SIGHUP: the configuration is in force after RELOAD_TAKES_S."""
        if not self.deaf:
            self.pending = (now_s + RELOAD_TAKES_S, text)

    def tick(self, now_s: float) -> None:
        """Applies a due reload and ends the workers whose time is up."""
        if self.pending is not None and now_s >= self.pending[0]:
            due, text = self.pending
            self.leaving += [(pid, due + self.lingers_s, self.conf) for pid in self.workers]
            self.workers = self._fork()
            self.conf, self.text, self.pending = read_conf(text), text, None
        self.leaving = [worker for worker in self.leaving if worker[1] > now_s]

    def quit(self, now_s: float) -> None:
        """Handles SIGQUIT: accepts no new requests and finishes the current ones."""
        self.leaving += [(pid, now_s + self.lingers_s, self.conf) for pid in self.workers]
        self.workers, self.pending = [], None

    def _fork(self) -> list[int]:
        pids = list(range(self.last_pid + 1, self.last_pid + 1 + _WORKERS))
        self.last_pid = pids[-1]
        return pids

    def top(self) -> str:
        """Returns what the host script that lists the processes of edges prints for this one."""
        lines = ["PID COMMAND", "9 nginx: master process nginx"]
        lines += [f"{pid} nginx: worker process" for pid in self.workers]
        lines += [f"{pid} nginx: worker process is shutting down" for pid, _, _ in self.leaving]
        return "".join(f"{self.key} {line}\n" for line in lines)
