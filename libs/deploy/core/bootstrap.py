"""What makes a bare Debian or Ubuntu server a host, as a list of named settings; never looks or changes anything.

Each setting says how to look at it, what is wanted and what changes it; `run.bootstrap` does so in this order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.core.commands.paths import ROOT
from deploy.core.config import Environment, HostConfig
from deploy.errors import UsageError

DEPLOY_PACKAGES = ("nftables", "openssh-server", "unattended-upgrades", "ca-certificates")

DOCKER_PACKAGES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("debian", "13"): ("docker.io", "docker-cli", "docker-compose", "iptables"),
    ("ubuntu", "24.04"): ("docker.io", "docker-compose-v2"),
    ("ubuntu", "25.10"): ("docker.io", "docker-compose-v2"),
    ("ubuntu", "26.04"): ("docker.io", "docker-compose-v2"),
}
"""Distributions whose own engine and compose are new enough (26, 2.26). Debian 12 has 20.10."""

DOCKERS_OWN = ("docker-ce", "docker-ce-cli", "containerd.io", "docker-compose-plugin")

DAEMON: Mapping[str, object] = {
    "live-restore": True,
    "log-driver": "local",
    "log-opts": {"max-size": "10m", "max-file": "3"},
}
"""A restarted engine leaves containers running; logs can't fill the disk."""

SSHD: Mapping[str, str] = {
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "PermitRootLogin": "prohibit-password",
    "X11Forwarding": "no",
    "AllowTcpForwarding": "local",
    "MaxSessions": "10",
    "MaxStartups": "10:30:100",
    "ClientAliveInterval": "15",
    "ClientAliveCountMax": "3",
}
"""Keys alone; a deployer that vanished loses its lock after 45 s; forwarding is the way to the preview listener."""

UPGRADES = """APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
"""

MIGRATE = "net.ipv4.tcp_migrate_req"
"""Connections that wait at a listener that closes go to another of the same port (an edge that takes over)."""

LOW_PORTS = "net.ipv4.ip_unprivileged_port_start"
"""From which port on nobody needs root: the edge listens in the host's network, and has no root (docs/adr/0012)."""

FIREWALL, FIREWALL_TABLE = "/etc/py-cicd/firewall.nft", "py_cicd"

FIREWALL_UNIT = f"""[Unit]
Description=py-cicd: what may reach this host
Wants=network-pre.target
Before=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {FIREWALL}

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Machine:
    """What a server is, as far as its settings depend on it. `ssh_ports` are those its sshd listens on."""

    distribution: str
    version: str
    ssh_ports: tuple[int, ...] = (22,)


@dataclass(frozen=True)
class DockerSource:
    """Docker's own apt repository: a line of sources.list without `signed-by`, and its key."""

    line: str
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Packages:
    """Packages of the distribution are installed."""

    name: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Docker:
    """Engine and compose are at least this new."""

    name: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file has this content; `then` is what takes it up: a service to restart, or sysctl or nft."""

    name: str
    path: str
    content: str
    mode: int = 0o644
    then: str = ""


@dataclass(frozen=True)
class JsonFile:
    """A JSON file says so, whatever else it says; `then` as for a file."""

    name: str
    path: str
    values: Mapping[str, object]
    then: str = ""


@dataclass(frozen=True)
class User:
    """A user is there, without a password, in a group, with a key that lets in."""

    name: str
    user: str
    group: str
    key: str


@dataclass(frozen=True)
class Folder:
    """A folder belongs to a user."""

    name: str
    path: str
    owner: str


@dataclass(frozen=True)
class InForce:
    """A command prints these lines: what files say is what runs. `then` mends it."""

    name: str
    argv: tuple[str, ...]
    lines: tuple[str, ...]
    then: str = ""


Setting = Packages | Docker | File | JsonFile | User | Folder | InForce


def settings(
    environment: Environment,
    host: HostConfig,
    machine: Machine,
    *,
    key: str,
    docker: DockerSource | None = None,
) -> tuple[Setting, ...]:
    """Returns what a host is made of, in the order of making. `key` is the deploy key's public line.

    Raises UsageError for a distribution that isn't known, or one whose engine is too old where no `docker` source
    is given.
    """
    known = DOCKER_PACKAGES.get((machine.distribution, machine.version))
    if machine.distribution not in ("debian", "ubuntu") or (known is None and docker is None):
        raise UsageError(
            f"{host.name}: {machine.distribution} {machine.version} has no Docker engine 26 with compose 2.26 of its "
            "own; nothing was changed",
            hint="give Docker's own repository for it: --docker-source 'deb URL SUITE stable' --docker-key FILE "
            "(docs.docker.com/engine/install says which)",
        )
    ports = sorted({*machine.ssh_ports, environment.edge.http_port, *_metrics_port(environment)})
    kernel = (f"{MIGRATE} = 1", f"{LOW_PORTS} = {min(environment.edge.http_port, 1024)}")
    source = _docker_source(docker) if docker else ()
    packages = DOCKERS_OWN if docker else known or ()
    sshd = "".join(f"{key} {value}\n" for key, value in SSHD.items())
    effective = tuple(
        f"{name} {value}".lower().replace("prohibit-password", "without-password")
        for name, value in SSHD.items()
    )
    return (
        Packages("packages", DEPLOY_PACKAGES),
        *source,
        Docker("Docker engine 26 and compose 2.26, or newer", packages),
        JsonFile("the engine's settings", "/etc/docker/daemon.json", DAEMON, then="docker"),
        InForce(
            "the engine runs with them",
            ("docker", "info", "--format", "{{.LiveRestoreEnabled}} {{.LoggingDriver}}"),
            ("true local",),
            then="docker",
        ),
        User(f"user {host.user}", host.user, "docker", key),
        Folder(f"folder {ROOT}", ROOT, host.user),
        File("sshd's settings", "/etc/ssh/sshd_config.d/10-py-cicd.conf", sshd, then="ssh"),
        InForce("sshd runs with them", ("sshd", "-T"), effective, then="ssh"),
        File("unattended upgrades", "/etc/apt/apt.conf.d/20auto-upgrades", UPGRADES),
        File(
            "kernel settings",
            "/etc/sysctl.d/60-py-cicd.conf",
            "".join(f"{line}\n" for line in kernel),
            then="sysctl",
        ),
        InForce("the kernel has them", ("sysctl", MIGRATE, LOW_PORTS), kernel, then="sysctl"),
        File("firewall rules", FIREWALL, firewall(ports), then="nft"),
        File(
            "firewall at boot",
            "/etc/systemd/system/py-cicd-firewall.service",
            FIREWALL_UNIT,
            then="py-cicd-firewall",
        ),
        InForce(
            "the firewall is up",
            ("nft", "list", "table", "inet", FIREWALL_TABLE),
            (f"tcp dport {_port_set(ports)} accept",),
            then="nft",
        ),
    )


def _metrics_port(environment: Environment) -> tuple[int, ...]:
    return (environment.metrics.port,) if environment.metrics else ()


def _docker_source(docker: DockerSource) -> tuple[Setting, ...]:
    kind, _, rest = docker.line.partition(" ")
    keyring = "/etc/apt/keyrings/docker.asc"
    line = f"{kind} [signed-by={keyring}] {rest}\n"
    return (
        File("the key of Docker's packages", keyring, docker.key.decode()),
        File("Docker's packages", "/etc/apt/sources.list.d/docker.list", line, then="apt"),
    )


def _port_set(ports: list[int]) -> str:
    return str(ports[0]) if len(ports) == 1 else f"{{ {', '.join(map(str, ports))} }}"


def firewall(ports: list[int]) -> str:
    """Writes nft rules in a table of our own, so that Docker's stay as they are: what isn't named is dropped.

    Containers' published ports don't pass here (they are forwarded), their way to the host itself does.
    """
    return f"""table inet {FIREWALL_TABLE}
delete table inet {FIREWALL_TABLE}
table inet {FIREWALL_TABLE} {{
    chain input {{
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname "lo" accept
        iifname "docker0" accept
        iifname "br-*" accept
        meta l4proto {{ icmp, ipv6-icmp }} accept
        tcp dport {_port_set(ports)} accept
    }}
}}
"""


def merged(text: str, values: Mapping[str, object]) -> str:
    """Returns a JSON text with these values in it, all else as it was. Raises ValueError for no JSON object."""
    found = json.loads(text or "{}")
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return json.dumps({**found, **values}, indent=2) + "\n"


def parse_machine(os_release: str, sshd: str) -> Machine:
    """Reads /etc/os-release and what `sshd -T` prints."""
    facts = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    ports = tuple(
        int(line.split()[1]) for line in sshd.splitlines() if line.lower().startswith("port ")
    )
    distribution, version = (facts.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))
    return Machine(distribution, version, ports or (22,))
