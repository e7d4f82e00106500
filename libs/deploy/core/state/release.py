"""A release: one immutable record of image, configuration, environment, compose text and edge."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, astuple, dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import Any

from deploy.core.config import Route, Service, Tasks
from deploy.core.state.edge import Upstream
from deploy.core.state.json_record import (
    UNKNOWN,
    UnknownKeys,
    from_json,
    load,
    refuse_newer,
    to_json,
)
from deploy.core.state.secrets import Pinned
from deploy.core.state.stack import Stack
from deploy.core.yaml_text import write_yaml

ID = re.compile(r"r(?P<sequence>[0-9]{6,12})-(?P<revision>[0-9a-z]+)(?P<dirty>-dirty)?")
FORMAT = 1
"""The highest format of a record that this version reads."""
MOST_REPLICAS = 63
ADDRESS_SLOTS = 1000
LIVENESS = "/livez"
"""The path on the metrics port where telemetry tells whether a replica lives, however busy its threads are."""
# Each host writes this file together with a release's secrets (`core.commands.secret_files`); it extends replica.yml.
# A missing folder must be an error: by default the engine would make an empty one.
_WITH_SECRETS = "secrets/replica.json"
_MOUNT = {
    "type": "bind",
    "source": "./secrets/files",
    "target": "/run/secrets",
    "read_only": True,
    "bind": {"create_host_path": False},
}
_NOT_HASHED = ("replicas", "image", "rollout", "gate", "journeys", "public_env")


@dataclass(frozen=True)
class Release:
    """Everything that is needed to run a release again.

    `revision` is the checkout's HEAD ("unknown" without git) and `image` is `name@sha256:...`. `config_hash` covers the
    service's settings and environment. `compose` and `replica` are the texts of the compose files, `route` is where
    users reach it once it is live. `edge` is the edge that served it (image, nginx and compose text), None in records
    of versions that didn't keep it. `secrets` are names, sources and versions without values. `public_env` are the
    variables whose values a report may show.
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
    public_env: tuple[str, ...] = field(default=(), metadata={"optional": True})
    unknown: UnknownKeys = field(default=(), metadata=UNKNOWN)

    @property
    def project(self) -> str:
        """The name of its compose project on every host."""
        return f"{self.service}-{self.id}"

    @property
    def names(self) -> tuple[str, ...]:
        """The container names of its replicas, unique to this release."""
        return replica_names(self.service, self.sequence, self.replicas)

    @property
    def upstream(self) -> Upstream:
        """Its replicas as the edge reaches them."""
        return Upstream(self.id, tuple(f"{address}:{self.port}" for address in self.addresses))


@dataclass(frozen=True)
class Origin:
    """Who makes a release, from which revision, when (UTC, ISO 8601) and why."""

    revision: str
    dirty: bool
    who: str
    when: str
    why: str
    tool_version: str


def replica_names(service: str, sequence: int, count: int) -> tuple[str, ...]:
    """Returns the names of replicas, made from the release's sequence, which is never reused on a host."""
    return tuple(f"{service}-r{sequence:06d}-{number}" for number in range(1, count + 1))


def replica_addresses(subnet: str, sequence: int, count: int) -> tuple[str, ...]:
    """Returns an address in the /16 `subnet` for each replica; a thousand releases pass before one is reused.

    Raises ValueError for more than 63 replicas. Addresses from x.y.250.0 up are left to Docker.
    """
    if count > MOST_REPLICAS:
        raise ValueError(f"at most {MOST_REPLICAS} replicas on a host, not {count}")
    first = ip_network(subnet).network_address + (sequence % ADDRESS_SLOTS) * (MOST_REPLICAS + 1)
    return tuple(str(first + number) for number in range(1, count + 1))


def release_id(sequence: int, revision: str, *, dirty: bool) -> str:
    """Returns an id such as `r000042-3f9c2ab`. Compare ids by `sequence_of`: as text r1000000 sorts before r999999."""
    return f"r{sequence:06d}-{revision[:7]}{'-dirty' if dirty else ''}"


def sequence_of(release: str) -> int:
    """Returns the sequence in a release id. Raises ValueError for any other text."""
    found = ID.fullmatch(release)
    if not found:
        raise ValueError(f"{release!r} is no release id (like r000042-3f9c2ab)")
    return int(found["sequence"])


def config_hash(service: Service, replica: str, secrets: tuple[Pinned, ...] = ()) -> str:
    """Returns the hash of everything that configures a replica; the number of replicas and the rollout don't count.

    `replica` is the text of replica.yml. `secrets` are hashed by name, source and version.
    """
    settings = {key: value for key, value in asdict(service).items() if key not in _NOT_HASHED}
    settings["secrets"] = sorted(astuple(pin) for pin in secrets)
    text = json.dumps({"service": settings, "replica": replica}, sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def is_made_of(release: Release, service: Service, image: str, replica: str) -> bool:
    """Returns whether the release has this image and this configuration; versions of secrets may differ."""
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
    """Returns the record of a new release of `service`. `image` is `name@sha256:...`, `replica` replica.yml's text."""
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
        public_env=service.public_env,
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
    """Returns a release's compose file: one compose service per replica, each extending replica.yml.

    A compose service per replica gives each replica an alias of its own on the shared network, and no two releases
    share one. The image comes from the variable IMAGE in the release's .env file. The file is JSON, which is valid
    YAML and leaves no value open to interpretation. `$` is doubled for compose.
    """
    health = service.health
    identity = {
        "SERVICE": service.name,
        "RELEASE": release,
        "REVISION": revision,
        "CONFIG_HASH": hashed,
        "PORT": str(service.port),
        "METRICS_PORT": str(service.metrics_port),
        "HUNG_AFTER_S": f"{health.hung_after_s:g}",
    }
    names = replica_names(service.name, sequence, service.replicas)
    services = {
        name: {
            **_replica(service),
            "container_name": name,
            "mem_limit": service.memory,
            "stop_grace_period": f"{health.drain_s + 10:g}s",
            "environment": {**service.env, **identity, "REPLICA": name},
            "healthcheck": {
                "test": ["CMD", "/usr/local/bin/healthcheck", str(service.metrics_port), LIVENESS],
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
    tasks = {"task": _task_service(service, identity)} if service.tasks != Tasks() else {}
    document = {
        "name": f"{service.name}-{release}",
        "services": {**services, **tasks},
        "networks": {"edge": {"name": "py-cicd", "external": True}},
    }
    return write_yaml(document).replace("$", "$$")


def _replica(service: Service) -> dict[str, Any]:
    """Returns what replicas and tasks have in common: the file they extend and the mount of secrets as files."""
    file = _WITH_SECRETS if service.secrets else "replica.yml"
    as_files = any(ref.into == "file" for ref in service.secrets.values())
    mounted = {"volumes": [_MOUNT]} if as_files else {}
    return {"extends": {"file": file, "service": "replica"}, **mounted}


def _task_service(service: Service, identity: dict[str, str]) -> dict[str, Any]:
    """Returns the compose service for tasks: image and configuration of the replicas, without a fixed address."""
    return {
        **_replica(service),
        "profiles": ["task"],
        "restart": "no",
        "mem_limit": service.memory,
        "environment": {**service.env, **identity, "REPLICA": "task"},
        "healthcheck": {"disable": True},
        "labels": {"py-cicd.task": service.name},
    }


def scaled(release: Release, replicas: int) -> Release:
    """Returns the same release with another number of replicas. Remaining replicas keep their names and addresses.

    Raises ValueError for more than 63 replicas.
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
    template = json.dumps(services[release.names[0]])
    others = {name: other for name, other in services.items() if name not in release.names}
    document["services"] = others | {
        name: _named(json.loads(template), name, address)
        for name, address in zip(names, addresses, strict=True)
    }
    compose = write_yaml(document)
    return replace(release, replicas=replicas, addresses=addresses, compose=compose)


def _named(replica: dict[str, Any], name: str, address: str) -> dict[str, Any]:
    replica["container_name"] = name
    replica["environment"]["REPLICA"] = name
    replica["labels"]["py-cicd.name"] = name
    replica["networks"]["edge"]["ipv4_address"] = address
    return replica


def dump_release(release: Release) -> str:
    """Returns the record as one line of JSON."""
    return json.dumps(to_json(release), sort_keys=True)


def parse_release(line: str) -> Release:
    """Returns the record that a line of JSON holds, with the keys of a newer version.

    Raises NewerFormatError for a higher format, and ValueError for anything else that isn't a release.
    """
    document = load(line)
    refuse_newer(document, FORMAT)
    release = from_json(Release, document)
    if sequence_of(release.id) != release.sequence:
        raise ValueError(f"sequence: {release.sequence} is not that of {release.id}"[:300])
    if len(release.addresses) != release.replicas or not release.addresses:
        raise ValueError(f"addresses: {len(release.addresses)} for {release.replicas} replicas")
    for address in release.addresses:
        ip_address(address)
    if not _is_compose_of(release):
        raise ValueError("compose: does not describe these replicas")
    return release


def _is_compose_of(release: Release) -> bool:
    document = load(release.compose)
    services = document.get("services") if isinstance(document, dict) else None
    if not isinstance(services, dict):
        return False
    replicas = [services.get(name) for name in release.names]
    return all(
        isinstance(replica, dict)
        and all(isinstance(replica.get(key), dict) for key in ("environment", "labels", "networks"))
        and isinstance(replica["networks"].get("edge"), dict)
        for replica in replicas
    )
