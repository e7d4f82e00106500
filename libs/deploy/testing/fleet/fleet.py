"""A fleet of simulated hosts with injected faults, whose invariants are checked after every call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deploy.core.config import Edge, Environment, HostConfig, RegistryConfig
from deploy.core.ports import Answer, Clock
from deploy.core.state.stack import REPLACED
from deploy.errors import HostUnreachableError, RegistryAuthError
from deploy.testing.fleet import watchdog
from deploy.testing.fleet.clock import OwnLock, SimulatedClock
from deploy.testing.fleet.faults import (
    Fault,
    FaultKind,
    Killed,
)
from deploy.testing.fleet.memory_host import PREVIEW_PORT, MemoryHost
from deploy.testing.fleet.nginx import NginxConf

_PUBLIC = 80


@dataclass
class FleetRegistry:
    """The registry that the simulated hosts pull from. Unlisted images have a size of 20 MB.

    `requests` counts what the deploy tool asks it.
    """

    name: str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    sizes: dict[str, int] = field(default_factory=dict)
    refuses: bool = False
    requests: int = 0

    def login(self) -> tuple[str, str, str]:
        """Returns (registry name, user, password)."""
        self.requests += 1
        return self.name, "AWS", "a-made-up-password"

    def digest_of(self, repository: str, tag: str) -> str | None:
        """Returns None: this registry has no tags."""
        del repository, tag
        self.requests += 1
        return None

    def size_of(self, image: str) -> int:
        """Returns an image's size in bytes. Raises RegistryAuthError if the registry `refuses`."""
        self.requests += 1
        if self.refuses:
            raise RegistryAuthError(f"registry {self.name} refused the login (401)")
        return self.sizes.get(image, 20_000_000)


@dataclass
class Fleet:
    """Hosts behind one wire, under one clock.

    `violations` collects broken invariants: a host that serves two releases or an unhealthy one, or one with few CPU
    shares, old workers whose replicas are gone before `drain_s` has passed, a stack beside one that it replaces, an
    unknown command. `must_serve` are the names of hosts that must have a live release, `away` of those that don't
    answer at their URL, `damaged` of those whose records a test damaged: on all others the edge's state must be
    readable. Unless `wide`, only the called host is checked, which makes fleets of hundreds affordable.
    """

    hosts: tuple[MemoryHost, ...] = ()
    clock: Clock = field(default_factory=SimulatedClock)
    registry: FleetRegistry = field(default_factory=FleetRegistry)
    images: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    must_serve: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    after_call: Callable[[MemoryHost], None] = lambda host: None
    killed: bool = False
    calls: dict[str, int] = field(default_factory=dict)
    drain_s: float = 5.0
    watched: bool = True
    wide: bool = True
    _wire: OwnLock = field(default_factory=OwnLock)

    @classmethod
    def of(cls, *names: str, clock: Clock | None = None) -> Fleet:
        """Returns a fleet of bare hosts with these names."""
        fleet = cls(clock=clock or SimulatedClock())
        for name in names:
            fleet.add(name)
        return fleet

    def add(self, name: str) -> MemoryHost:
        """Adds a bare host."""
        host = MemoryHost(name, self.clock, self.images, wire=self)
        self.hosts = (*self.hosts, host)
        return host

    def __getitem__(self, name: str) -> MemoryHost:
        """Returns the host with this name."""
        return next(host for host in self.hosts if host.name == name)

    def environment(self, *, keep_releases: int = 5) -> Environment:
        """Returns the environment of this fleet."""
        hosts = tuple(HostConfig(h.name, "127.0.0.1", url(h.name), "") for h in self.hosts)
        return Environment(
            name="memory",
            hosts=hosts,
            registry=RegistryConfig("123456789012", "eu-west-1"),
            known_hosts="",
            ssh_key="",
            edge=Edge(preview_port=PREVIEW_PORT),
            keep_releases=keep_releases,
        )

    def await_drained(self, within_s: float = 120.0) -> None:
        """Lets time pass until the watchdogs have finished all drains. Raises AssertionError if they don't."""
        ends = self.clock.monotonic() + within_s
        while any(self.draining()):
            assert self.clock.monotonic() < ends, f"still draining: {self.draining()}"
            for host in self.hosts:
                watchdog.check(host)
            self.check()
            self.clock.sleep(1.0)

    def draining(self) -> list[str]:
        """Returns the records of all drains that have not ended: host and file."""
        return [
            f"{host.name}{path}"
            for host in self.hosts
            for path in host.files
            if "/draining/" in path
        ]

    def revive(self) -> None:
        """Lets a new deploy tool connect: faults end, and the old one's connections and locks are gone."""
        self.killed = False
        self.faults.clear()
        self.gone.clear()
        for host in self.hosts:
            host.locked_by = ""

    # The wire.

    def call[T](self, host: MemoryHost, effect: Callable[[bool], T], fail: Callable[[], T]) -> T:
        """Calls a host, unless a fault prevents it, and checks the invariants afterwards."""
        with self._wire:
            self.calls[host.name] = self.calls.get(host.name, 0) + 1
            self._require_reachable(host)
            fault = self._fault(host)
            if fault is None:
                return self._apply(host, effect, half=False)
            result = fail()
            if fault.kind is FaultKind.HALF:
                self._apply(host, effect, half=True)
            elif fault.after:
                self._apply(host, effect, half=False)
            self._break(host, fault)
            self._require_reachable(host)
            return result

    def get(
        self, url: str, *, timeout_s: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Sends a GET request as a user would. This makes the fleet a Probe."""
        del timeout_s
        name, _, path = url.removeprefix("http://").partition("/")
        host = self[name.removesuffix(".test")]
        with self._wire:
            self._break(host, fault := self._fault(host))
            if self.killed:
                raise Killed
            if fault is not None or host.name in self.away:
                return Answer(0, b"simulated failure")
            name, request_id = ((headers or {}).get(key, "") for key in ("Host", "X-Request-Id"))
            return host.answer(_PUBLIC, name, f"/{path}", request_id)

    def _fault(self, host: MemoryHost) -> Fault | None:
        return next((fault for fault in self.faults if fault.count(host.name)), None)

    def _break(self, host: MemoryHost, fault: Fault | None) -> None:
        """Applies the lasting effect of a fault."""
        if fault is not None and fault.kind is FaultKind.GONE:
            self.gone.add(host.name)
            host.locked_by = ""
        self.killed = self.killed or (fault is not None and fault.kind is FaultKind.KILLED)

    def _require_reachable(self, host: MemoryHost) -> None:
        if self.killed:
            raise Killed
        if host.name in self.gone:
            raise HostUnreachableError(f"{host.name}: the connection was lost")

    def _apply[T](self, host: MemoryHost, effect: Callable[[bool], T], *, half: bool) -> T:
        try:
            watchdog.check(host)
            return effect(half)
        except AssertionError as unknown:
            self.violations.append(str(unknown))
            raise
        finally:
            self.check(None if self.wide else host)
            self.after_call(host)

    # Invariants.

    def check(self, only: MemoryHost | None = None) -> None:
        """Checks the invariants of every host, or of one, and records violations."""
        if self.watched:
            for host in (only,) if only else self.hosts:
                self.violations += [
                    f"{self.clock.monotonic():.2f} {violation}"
                    for violation in _violations(self, host)
                ]

    def served(self, path: str = "/", host_name: str = "") -> list[str]:
        """Returns the release that each host serves to users, "" for a host that serves none."""
        return [_served(host, path, host_name) for host in self.hosts]


def url(name: str) -> str:
    """Returns the public URL of a simulated host."""
    return f"http://{name}.test"


def _violations(fleet: Fleet, host: MemoryHost) -> list[str]:
    edges, violations = host.running_edges(), []
    if host.name not in fleet.damaged:
        try:
            _ = host.edge_state
        except ValueError as error:
            violations.append(f"{host.name}: {error}")
    live = tuple(servers for nginx in edges if nginx.workers for servers in _upstreams(nginx.conf))
    if host.name in fleet.must_serve and not live:
        violations.append(f"{host.name} serves nothing")
    for servers in live:
        violations += _unfit(host, servers, "serves")
        releases = {c.labels["py-cicd.release"] for s in servers if (c := host.engine.at(s))}
        if len(releases) > 1:
            violations.append(f"{host.name} serves {' and '.join(sorted(releases))}")
    running = {
        container.labels["py-cicd.name"]
        for container in host.engine.containers.values()
        if container.status(fleet.clock.monotonic()) == "running"
    }
    violations += [
        f"{host.name} runs the {name} beside the {old} that it replaces"
        for name, replaced in REPLACED.items()
        for old in replaced
        if {name, old} <= running
    ]
    for nginx in edges:
        for pid, ends, conf in nginx.leaving:
            if fleet.clock.monotonic() >= ends - nginx.lingers_s + fleet.drain_s:
                continue  # drain_s bounds what they may wait for
            for servers in _upstreams(conf):
                violations += _unfit(host, servers, f"has an old worker {pid} that still uses")
    return violations


def _upstreams(conf: NginxConf) -> tuple[tuple[str, ...], ...]:
    """Returns the servers of each upstream that a public location uses."""
    public = [
        place for server in conf.servers if server.port == _PUBLIC for place in server.locations
    ]
    upstreams = [servers for place in public for servers in (place.servers, place.share[2])]
    return tuple(servers for servers in upstreams if servers)


def _unfit(host: MemoryHost, servers: Sequence[str], what: str) -> list[str]:
    now_s = host.clock.monotonic()
    found = [(server, host.engine.at(server)) for server in servers]
    return [
        f"{host.name} {what} {server}: {container.name if container else 'no container'} is not ready"
        for server, container in found
        if container is None or not container.serves(now_s) or container.cpu_shares < 1024
    ]


def _served(host: MemoryHost, path: str, host_name: str) -> str:
    accepting = [nginx for nginx in host.running_edges() if nginx.workers]
    found = [nginx.conf.find(_PUBLIC, host_name, path) for nginx in accepting]
    if not found or any(location is None or not location.servers for location in found):
        return ""
    behind = [host.engine.at(location.servers[0]) for location in found if location]
    releases = {c.labels["py-cicd.release"] if c else "unknown" for c in behind}
    return " and ".join(sorted(releases))
