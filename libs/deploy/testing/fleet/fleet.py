"""A fleet of simulated hosts, watched at every instant; breaks where it is told to and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deploy.core.config import Edge, Environment, HostConfig, RegistryConfig
from deploy.core.ports import Answer, Clock
from deploy.errors import HostUnreachableError, RegistryAuthError
from deploy.testing.fleet.clock import OwnLock, SimulatedClock
from deploy.testing.fleet.faults import (
    Fault,
    How,
    Killed,
)
from deploy.testing.fleet.memory_host import PREVIEW_PORT, MemoryHost
from deploy.testing.fleet.nginx import NginxConf

_PUBLIC = 80


@dataclass
class MemoryRegistry:
    """Where the simulated hosts pull from."""

    name: str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    sizes: dict[str, int] = field(default_factory=dict)
    refuses: bool = False

    def login(self) -> tuple[str, str, str]:
        """Returns (registry name, user, password)."""
        return self.name, "AWS", "a-made-up-password"

    def digest_of(self, repository: str, tag: str) -> str | None:
        """This registry has no tags."""
        del repository, tag
        return None

    def size_of(self, image: str) -> int:
        """Every image is of this size."""
        if self.refuses:
            raise RegistryAuthError(f"registry {self.name} refused our login (HTTP 401)")
        return self.sizes.get(image, 20_000_000)


@dataclass
class Fleet:
    """Hosts on one wire, under one clock.

    `wrongs` gathers what must never be seen: a host that serves a mixed or unhealthy release, old workers
    whose replicas are gone, a command that nobody knows. `must_serve` names the hosts that may not answer 503.
    Where it isn't `wide` only the host that was touched is looked at, which takes a fleet of hundreds.
    """

    hosts: tuple[MemoryHost, ...] = ()
    clock: Clock = field(default_factory=SimulatedClock)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    images: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    wrongs: list[str] = field(default_factory=list)
    must_serve: set[str] = field(default_factory=set)
    after_touch: Callable[[MemoryHost], None] = lambda host: None
    killed: bool = False
    touches: dict[str, int] = field(default_factory=dict)
    watched: bool = True
    wide: bool = True
    _wire: OwnLock = field(default_factory=OwnLock)

    @classmethod
    def of(cls, *names: str, clock: Clock | None = None) -> Fleet:
        """Makes bare hosts of these names."""
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
        """The host of that name."""
        return next(host for host in self.hosts if host.name == name)

    def environment(self, *, keep_releases: int = 5) -> Environment:
        """The environment file that describes this fleet."""
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

    def revive(self) -> None:
        """A new deployer comes: connections of the one before are gone, and their locks with them."""
        self.killed = False
        self.faults.clear()
        self.gone.clear()
        for host in self.hosts:
            host.locked_by = ""

    # The wire that the hosts hang on.

    def touch[T](self, host: MemoryHost, effect: Callable[[bool], T], fail: Callable[[], T]) -> T:
        """Lets one touch of a host happen, or go wrong, and looks at all hosts afterwards."""
        with self._wire:
            self.touches[host.name] = self.touches.get(host.name, 0) + 1
            self._reach(host)
            fault = self._fault(host)
            if fault is None:
                return self._happen(host, effect, half=False)
            result = fail()
            if fault.how is How.HALF:
                self._happen(host, effect, half=True)
            elif fault.after:
                self._happen(host, effect, half=False)
            self._break(host, fault)
            self._reach(host)
            return result

    def get(
        self, url: str, *, timeout_s: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Asks from outside: this fleet is a Probe too."""
        del timeout_s
        name, _, path = url.removeprefix("http://").partition("/")
        host = self[name.removesuffix(".test")]
        with self._wire:
            self._break(host, fault := self._fault(host))
            if self.killed:
                raise Killed
            if fault is not None:
                return Answer(0, b"told to fail")
            return host.answer(_PUBLIC, (headers or {}).get("Host", ""), f"/{path}")

    def _fault(self, host: MemoryHost) -> Fault | None:
        return next((each for each in self.faults if each.count(host.name)), None)

    def _break(self, host: MemoryHost, fault: Fault | None) -> None:
        """Does what lasts of a fault."""
        if fault is not None and fault.how is How.GONE:
            self.gone.add(host.name)
            host.locked_by = ""
        self.killed = self.killed or (fault is not None and fault.how is How.KILLED)

    def _reach(self, host: MemoryHost) -> None:
        if self.killed:
            raise Killed
        if host.name in self.gone:
            raise HostUnreachableError(f"{host.name}: the connection was lost")

    def _happen[T](self, host: MemoryHost, effect: Callable[[bool], T], *, half: bool) -> T:
        try:
            return effect(half)
        except AssertionError as unknown:
            self.wrongs.append(str(unknown))
            raise
        finally:
            self.look(None if self.wide else host)
            self.after_touch(host)

    # What must hold at every instant.

    def look(self, only: MemoryHost | None = None) -> None:
        """Looks at every host, or at one, and keeps what must not be."""
        if self.watched:
            for host in (only,) if only else self.hosts:
                self.wrongs += [
                    f"{self.clock.monotonic():.2f} {each}" for each in _wrongs(self, host)
                ]

    def served(self, path: str = "/", host_name: str = "") -> list[str]:
        """What each host's edge has in force for its users: a release, or "" for none."""
        return [_served(host, path, host_name) for host in self.hosts]


def url(name: str) -> str:
    """Where users reach a simulated host."""
    return f"http://{name}.test"


def _wrongs(fleet: Fleet, host: MemoryHost) -> list[str]:
    edges, wrongs = host.running_edges(), []
    asked = tuple(each for nginx in edges if nginx.workers for each in _asked(nginx.conf))
    if host.name in fleet.must_serve and not asked:
        wrongs.append(f"{host.name} serves nothing")
    for servers in asked:
        wrongs += _unfit(host, servers, "serves")
        releases = {c.labels["py-cicd.release"] for s in servers if (c := host.engine.at(s))}
        if len(releases) > 1:
            wrongs.append(f"{host.name} serves {' and '.join(sorted(releases))}")
    for nginx in edges:
        for pid, _, conf in nginx.leaving:
            for servers in _asked(conf):
                wrongs += _unfit(host, servers, f"has a leaving worker {pid} that asks")
    return wrongs


def _asked(conf: NginxConf) -> tuple[tuple[str, ...], ...]:
    """The servers behind each public location."""
    public = [
        each for server in conf.servers if server.port == _PUBLIC for each in server.locations
    ]
    sides = [servers for each in public for servers in (each.servers, each.share[2])]
    return tuple(servers for servers in sides if servers)


def _unfit(host: MemoryHost, servers: Sequence[str], what: str) -> list[str]:
    now_s = host.clock.monotonic()
    found = [(server, host.engine.at(server)) for server in servers]
    return [
        f"{host.name} {what} {server}: {container.name if container else 'no container'} is not ready"
        for server, container in found
        if container is None or not container.serves(now_s)
    ]


def _served(host: MemoryHost, path: str, host_name: str) -> str:
    taking = [nginx for nginx in host.running_edges() if nginx.workers]
    found = [nginx.conf.find(_PUBLIC, host_name, path) for nginx in taking]
    if not found or any(location is None or not location.servers for location in found):
        return ""
    behind = [host.engine.at(location.servers[0]) for location in found if location]
    releases = {c.labels["py-cicd.release"] if c else "unknown" for c in behind}
    return " and ".join(sorted(releases))
