"""The settings that turn a bare Debian or Ubuntu server into a host, as data.

Each setting contains what has to hold and how a change takes effect. `run.bootstrap` checks and applies them in order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

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
"""The packages of distributions whose own engine and compose are new enough (26, 2.26). Debian 12 has 20.10."""

DOCKER_CE_PACKAGES = ("docker-ce", "docker-ce-cli", "containerd.io", "docker-compose-plugin")

DAEMON: Mapping[str, object] = {
    "live-restore": True,
    "log-driver": "local",
    "log-opts": {"max-size": "10m", "max-file": "3"},
}
"""Containers keep running while the engine restarts, and logs can't fill the disk."""

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
"""Logins need a key. A deployer that vanished loses its lock after 45 s. The preview listener needs forwarding."""

UPGRADES = """APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
"""

MIGRATE = "net.ipv4.tcp_migrate_req"
"""Moves connections that wait at a closing listener to another one on the same port, such as a new edge."""

LOW_PORTS = "net.ipv4.ip_unprivileged_port_start"
"""The first port that needs no root: the edge listens in the host's network without root (docs/adr/0012)."""

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


class Activation(Enum):
    """How a changed setting takes effect."""

    UPDATE_APT = "apt"
    LOAD_SYSCTL = "sysctl"
    LOAD_FIREWALL = "nft"
    ENABLE_FIREWALL = "py-cicd-firewall"
    RESTART_DOCKER = "docker"
    RELOAD_SSH = "ssh"


@dataclass(frozen=True)
class ServerFacts:
    """The facts about a server that its settings depend on. Its sshd listens on `ssh_ports`."""

    distribution: str
    version: str
    ssh_ports: tuple[int, ...] = (22,)


@dataclass(frozen=True)
class DockerSource:
    """Docker's own apt repository: its line in sources.list, without `signed-by`, and its key."""

    line: str
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Packages:
    """These packages are installed."""

    name: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Docker:
    """Engine and compose are new enough; if not, these packages are installed."""

    name: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file has this content. After a change, `activation` makes it take effect."""

    name: str
    path: str
    content: str
    mode: int = 0o644
    activation: Activation | None = None


@dataclass(frozen=True)
class JsonFile:
    """A JSON file has these values, among others."""

    name: str
    path: str
    values: Mapping[str, object]
    activation: Activation | None = None


@dataclass(frozen=True)
class User:
    """A user exists, without a password, in a group, and can log in with a key."""

    name: str
    user: str
    group: str
    key: str


PRIVATE = (
    "lock",
    "effects",
    "token",
    "holder.json",
    "holder.pid",
    "ledger.jsonl",
    "ledger.jsonl.seal",
    "secrets.key",
)
"""The files of the hosts' folder that no other user may read (docs/architecture.md)."""


@dataclass(frozen=True)
class Folder:
    """A folder belongs to a user, who alone may enter it; `private` are its files with mode 0600."""

    name: str
    path: str
    owner: str
    private: tuple[str, ...] = ()


@dataclass(frozen=True)
class InEffect:
    """A command prints these lines, which shows that the settings in a file are in effect."""

    name: str
    argv: tuple[str, ...]
    lines: tuple[str, ...]
    activation: Activation | None = None


Setting = Packages | Docker | File | JsonFile | User | Folder | InEffect


def settings(
    environment: Environment,
    host: HostConfig,
    facts: ServerFacts,
    *,
    key: str,
    docker: DockerSource | None = None,
) -> tuple[Setting, ...]:
    """Returns the settings of a host in the order in which to apply them. `key` is the deploy key's public line.

    Raises UsageError for an unknown distribution, or for one whose engine is too old if no `docker` source is given.
    """
    known = DOCKER_PACKAGES.get((facts.distribution, facts.version))
    if facts.distribution not in ("debian", "ubuntu") or (known is None and docker is None):
        raise UsageError(
            f"{host.name}: {facts.distribution} {facts.version} has no Docker engine 26 with compose 2.26 of its "
            "own; nothing was changed",
            hint="name Docker's own repository: --docker-source 'deb URL SUITE stable' --docker-key FILE "
            "(docs.docker.com/engine/install has the line and the key)",
        )
    ports = sorted({*facts.ssh_ports, environment.edge.http_port, *_metrics_port(environment)})
    kernel = (f"{MIGRATE} = 1", f"{LOW_PORTS} = {min(environment.edge.http_port, 1024)}")
    source = _docker_source(docker) if docker else ()
    packages = DOCKER_CE_PACKAGES if docker else known or ()
    sshd = "".join(f"{key} {value}\n" for key, value in SSHD.items())
    effective = tuple(
        f"{name} {value}".lower().replace("prohibit-password", "without-password")
        for name, value in SSHD.items()
    )
    return (
        Packages("packages", DEPLOY_PACKAGES),
        *source,
        Docker("Docker engine 26 and compose 2.26, or newer", packages),
        JsonFile("engine settings", "/etc/docker/daemon.json", DAEMON, Activation.RESTART_DOCKER),
        InEffect(
            "engine settings in effect",
            ("docker", "info", "--format", "{{.LiveRestoreEnabled}} {{.LoggingDriver}}"),
            ("true local",),
            Activation.RESTART_DOCKER,
        ),
        User(f"user {host.user}", host.user, "docker", key),
        Folder(f"folder {ROOT}", ROOT, host.user, PRIVATE),
        File(
            "sshd settings",
            "/etc/ssh/sshd_config.d/10-py-cicd.conf",
            sshd,
            activation=Activation.RELOAD_SSH,
        ),
        InEffect("sshd settings in effect", ("sshd", "-T"), effective, Activation.RELOAD_SSH),
        File("unattended upgrades", "/etc/apt/apt.conf.d/20auto-upgrades", UPGRADES),
        File(
            "kernel settings",
            "/etc/sysctl.d/60-py-cicd.conf",
            "".join(f"{line}\n" for line in kernel),
            activation=Activation.LOAD_SYSCTL,
        ),
        InEffect(
            "kernel settings in effect",
            ("sysctl", MIGRATE, LOW_PORTS),
            kernel,
            Activation.LOAD_SYSCTL,
        ),
        File("firewall rules", FIREWALL, firewall(ports), activation=Activation.LOAD_FIREWALL),
        File(
            "firewall at boot",
            "/etc/systemd/system/py-cicd-firewall.service",
            FIREWALL_UNIT,
            activation=Activation.ENABLE_FIREWALL,
        ),
        InEffect(
            "firewall in effect",
            ("nft", "list", "table", "inet", FIREWALL_TABLE),
            (f"tcp dport {_port_set(ports)} accept",),
            Activation.LOAD_FIREWALL,
        ),
    )


def _metrics_port(environment: Environment) -> tuple[int, ...]:
    return (environment.metrics.port,) if environment.metrics else ()


def _docker_source(docker: DockerSource) -> tuple[Setting, ...]:
    kind, _, rest = docker.line.partition(" ")
    keyring = "/etc/apt/keyrings/docker.asc"
    line = f"{kind} [signed-by={keyring}] {rest}\n"
    return (
        File("key of Docker's repository", keyring, docker.key.decode()),
        File(
            "Docker's repository",
            "/etc/apt/sources.list.d/docker.list",
            line,
            activation=Activation.UPDATE_APT,
        ),
    )


def _port_set(ports: list[int]) -> str:
    return str(ports[0]) if len(ports) == 1 else f"{{ {', '.join(map(str, ports))} }}"


def firewall(ports: list[int]) -> str:
    """Returns nft rules that drop everything but the named ports, in a table of our own, beside Docker's.

    Traffic to containers' published ports is forwarded and not filtered here; traffic from containers to the host is.
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
    """Returns a JSON object's text with these values set. Raises ValueError if the text is not a JSON object."""
    document = json.loads(text or "{}")
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    return json.dumps({**document, **values}, indent=2) + "\n"


def parse_facts(os_release: str, sshd: str) -> ServerFacts:
    """Parses /etc/os-release and the output of `sshd -T`."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    ports = tuple(
        int(line.split()[1]) for line in sshd.splitlines() if line.lower().startswith("port ")
    )
    distribution, version = (values.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))
    return ServerFacts(distribution, version, ports or (22,))
