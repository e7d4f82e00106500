"""A release: one immutable record of image, config, env, compose and edge; never changed once written."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, astuple, dataclass, fields, replace
from ipaddress import ip_address, ip_network
from typing import Any

from deploy.core.config import Route, Service, Tasks
from deploy.core.state.edge import Upstream
from deploy.core.state.secrets import Pinned
from deploy.core.state.stack import Stack

ID = re.compile(r"r(?P<sequence>\d{6,})-(?P<revision>[0-9a-z]+)(?P<dirty>-dirty)?")
MOST_REPLICAS = 63
ADDRESS_SLOTS = 1000
# Where a replica's secrets come in: each host writes that file with its secrets (`core.commands.secret_files`), and it
# extends replica.yml in turn. A folder that isn't there is an error, not one that the engine makes.
_WITH_SECRETS = "secrets/replica.json"
_MOUNT = {
    "type": "bind",
    "source": "./secrets/files",
    "target": "/run/secrets",
    "read_only": True,
    "bind": {"create_host_path": False},
}
_NOT_HASHED = ("replicas", "image", "rollout", "gate", "journeys")


@dataclass(frozen=True)
class Release:
    """What runs, whole.

    `revision` is the checkout's HEAD ("unknown" without git), `image` is `name@sha256:...`, `config_hash`
    covers the service's settings and env, `compose` and `replica` are the texts that start it, `route` is where it is
    found when it is live, `edge` is what it was served through: image, nginx and compose text (None before 0.1 kept
    it). `secrets` are names, sources and versions, never values.
    """

    id: str
    sequence: int
    service: str
    revision: str
    image: str
    config_hash: str
    replicas: int
    port: int
    metrics_port: int
    addresses: tuple[str, ...]
    route: Route
    compose: str
    replica: str
    tool_version: str
    who: str
    when: str
    why: str = ""
    dirty: bool = False
    secrets: tuple[Pinned, ...] = ()
    edge: Stack | None = None

    @property
    def project(self) -> str:
        """The compose project that it runs as on every host."""
        return f"{self.service}-{self.id}"

    @property
    def names(self) -> tuple[str, ...]:
        """Its replicas' container names, which no other container ever bears."""
        return replica_names(self.service, self.sequence, self.replicas)

    @property
    def upstream(self) -> Upstream:
        """How the edge reaches it."""
        return Upstream(self.id, tuple(f"{address}:{self.port}" for address in self.addresses))


@dataclass(frozen=True)
class Origin:
    """Who makes a release, from what, when (UTC, ISO 8601) and why."""

    revision: str
    dirty: bool
    who: str
    when: str
    why: str
    tool_version: str


def replica_names(service: str, sequence: int, count: int) -> tuple[str, ...]:
    """Names replicas after the release's sequence, which a host's ledger never gives twice."""
    return tuple(f"{service}-r{sequence:06d}-{number}" for number in range(1, count + 1))


def replica_addresses(subnet: str, sequence: int, count: int) -> tuple[str, ...]:
    """Gives each replica an address in a /16 that no other release has for the next thousand releases.

    Raises ValueError for more than 63 replicas on a host. Addresses from x.y.250.0 up are left to Docker.
    """
    if count > MOST_REPLICAS:
        raise ValueError(f"at most {MOST_REPLICAS} replicas on a host, not {count}")
    first = ip_network(subnet).network_address + (sequence % ADDRESS_SLOTS) * (MOST_REPLICAS + 1)
    return tuple(str(first + number) for number in range(1, count + 1))


def release_id(sequence: int, revision: str, *, dirty: bool) -> str:
    """Makes an id such as `r000042-3f9c2ab`, lower case, ordered by sequence."""
    return f"r{sequence:06d}-{revision[:7]}{'-dirty' if dirty else ''}"


def sequence_of(release: str) -> int:
    """Returns an id's sequence. Raises ValueError for what is no release id."""
    found = ID.fullmatch(release)
    if not found:
        raise ValueError(f"{release!r} is no release id (like r000042-3f9c2ab)")
    return int(found["sequence"])


def config_hash(service: Service, replica: str, secrets: tuple[Pinned, ...] = ()) -> str:
    """Hashes all that configures a replica, not how many there are or how they take over.

    `replica` is replica.yml's text; `secrets` are hashed by name, source and version.
    """
    settings = {key: value for key, value in asdict(service).items() if key not in _NOT_HASHED}
    settings["secrets"] = sorted(astuple(pin) for pin in secrets)
    text = json.dumps({"service": settings, "replica": replica}, sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def is_made_of(release: Release, service: Service, image: str, replica: str) -> bool:
    """True if the release is this image, configured like this, whatever the versions of its secrets are."""
    sources = {pin.name: pin.ref for pin in release.secrets}
    hashed = config_hash(service, replica, release.secrets)
    return (release.image, release.config_hash, sources) == (image, hashed, dict(service.secrets))


def make_release(
    service: Service,
    image: str,
    sequence: int,
    replica: str,
    origin: Origin,
    *,
    subnet: str,
    secrets: tuple[Pinned, ...] = (),
    edge: Stack | None = None,
) -> Release:
    """Makes the record of a new release of `service` from an image digest."""
    addresses = replica_addresses(subnet, sequence, service.replicas)
    identity = release_id(sequence, origin.revision, dirty=origin.dirty)
    hashed = config_hash(service, replica, secrets)
    return Release(
        id=identity,
        sequence=sequence,
        service=service.name,
        revision=origin.revision,
        image=image,
        config_hash=hashed,
        replicas=service.replicas,
        port=service.port,
        metrics_port=service.metrics_port,
        addresses=addresses,
        route=service.route,
        compose=render_compose(
            service, identity, sequence, addresses, revision=origin.revision, hashed=hashed
        ),
        replica=replica,
        tool_version=origin.tool_version,
        who=origin.who,
        when=origin.when,
        why=origin.why,
        dirty=origin.dirty,
        secrets=secrets,
        edge=edge,
    )


def render_compose(
    service: Service,
    release: str,
    sequence: int,
    addresses: tuple[str, ...],
    *,
    revision: str,
    hashed: str,
) -> str:
    """Writes a release's compose file: one service a replica, each extending replica.yml.

    One compose service a replica gives each its own alias on the shared network, and no alias that two
    releases share. The image comes in as IMAGE, through the release's .env file, as it does by hand. The file
    is JSON, which is YAML: no value can be misread. `$` is doubled for compose.
    """
    health = service.health
    told = {
        "SERVICE": service.name,
        "RELEASE": release,
        "REVISION": revision,
        "CONFIG_HASH": hashed,
        "PORT": str(service.port),
        "METRICS_PORT": str(service.metrics_port),
    }
    names = replica_names(service.name, sequence, service.replicas)
    services = {
        name: {
            **_replica(service),
            "container_name": name,
            "mem_limit": service.memory,
            "stop_grace_period": f"{health.drain_s + 10:g}s",
            "environment": {**service.env, **told, "REPLICA": name},
            "healthcheck": {
                "test": ["CMD", "/usr/local/bin/healthcheck", str(service.port), health.path],
                "interval": f"{health.interval_s:g}s",
                "start_period": f"{health.startup_deadline_s:g}s",
            },
            "networks": {"edge": {"ipv4_address": address}},
            "labels": {
                "py-cicd.service": service.name,
                "py-cicd.release": release,
                "py-cicd.name": name,
            },
        }
        for name, address in zip(names, addresses, strict=True)
    }
    tasks = {"task": _task_service(service, told)} if service.tasks != Tasks() else {}
    document = {
        "name": f"{service.name}-{release}",
        "services": {**services, **tasks},
        "networks": {"edge": {"name": "py-cicd", "external": True}},
    }
    return json.dumps(document, indent=2).replace("$", "$$") + "\n"


def _replica(service: Service) -> dict[str, Any]:
    """What replicas and tasks extend, and where they find secrets that come as files."""
    file = _WITH_SECRETS if service.secrets else "replica.yml"
    as_files = any(ref.into == "file" for ref in service.secrets.values())
    mounted = {"volumes": [_MOUNT]} if as_files else {}
    return {"extends": {"file": file, "service": "replica"}, **mounted}


def _task_service(service: Service, told: dict[str, str]) -> dict[str, Any]:
    """What a task runs in: the replicas' image and configuration, at no address of theirs."""
    return {
        **_replica(service),
        "profiles": ["task"],
        "restart": "no",
        "mem_limit": service.memory,
        "environment": {**service.env, **told, "REPLICA": "task"},
        "healthcheck": {"disable": True},
        "labels": {"py-cicd.task": service.name},
    }


def scaled(release: Release, replicas: int) -> Release:
    """Returns the release with another number of replicas: how many there are is no part of what it is.

    Those that stay keep their names and addresses. Raises ValueError for more than 63 on a host.
    """
    if replicas == release.replicas:
        return release
    if replicas > MOST_REPLICAS:
        raise ValueError(f"at most {MOST_REPLICAS} replicas on a host, not {replicas}")
    before_first = ip_address(release.addresses[0]) - 1
    addresses = tuple(str(before_first + number) for number in range(1, replicas + 1))
    names = replica_names(release.service, release.sequence, replicas)
    document = json.loads(release.compose)
    services = document["services"]
    like = json.dumps(services[release.names[0]])
    others = {name: each for name, each in services.items() if name not in release.names}
    document["services"] = others | {
        name: _named(json.loads(like), name, address)
        for name, address in zip(names, addresses, strict=True)
    }
    compose = json.dumps(document, indent=2) + "\n"
    return replace(release, replicas=replicas, addresses=addresses, compose=compose)


def _named(replica: dict[str, Any], name: str, address: str) -> dict[str, Any]:
    replica["container_name"] = name
    replica["environment"]["REPLICA"] = name
    replica["labels"]["py-cicd.name"] = name
    replica["networks"]["edge"]["ipv4_address"] = address
    return replica


def dump_release(release: Release) -> str:
    """Writes the record as one line of JSON."""
    return json.dumps(asdict(release), sort_keys=True)


def parse_release(line: str) -> Release:
    """Reads a record. Raises ValueError if it isn't one."""
    data: dict[str, Any] = json.loads(line)
    try:
        read = {
            "addresses": tuple(data["addresses"]),
            "route": Route(**data["route"]),
            "secrets": tuple(Pinned(**pin) for pin in data.get("secrets", ())),
            "edge": _stack(data["edge"]) if data.get("edge") else None,
        }
        known = {field.name for field in fields(Release)}  # a newer tool may have written more
        return Release(**{name: each for name, each in {**data, **read}.items() if name in known})
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a release record: {error}") from error


def _stack(data: dict[str, Any]) -> Stack:
    tuples = {
        "files": tuple((path, text, mode) for path, text, mode in data["files"]),
        "seeds": tuple((path, text, mode) for path, text, mode in data["seeds"]),
        "check": tuple(data["check"]),
        "check_at": tuple(data["check_at"]),
    }
    known = {field.name for field in fields(Stack)}
    return Stack(**{name: each for name, each in {**data, **tuples}.items() if name in known})
