"""What a host is made of, for each kind of server."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deploy.core.bootstrap import (
    DAEMON,
    Docker,
    DockerSource,
    File,
    InForce,
    Machine,
    merged,
    parse_machine,
    settings,
)
from deploy.core.config import Edge, Environment, HostConfig, Metrics, RegistryConfig
from deploy.errors import UsageError

HOST = HostConfig("web-1", "192.0.2.1", "http://192.0.2.1", "192.0.2.1:9443")
ENVIRONMENT = Environment(
    "production", (HOST,), RegistryConfig("123456789012", "eu-central-1"), "known_hosts", "key"
)
METRICS = Metrics("http://prometheus", "ca", "cert", "key", "password")
TRIXIE = Machine("debian", "13", (22,))
KEY = "ssh-ed25519 AAAA py-cicd"


def names(machine: Machine, docker: DockerSource | None = None) -> list[str]:
    return [each.name for each in settings(ENVIRONMENT, HOST, machine, key=KEY, docker=docker)]


def file(name: str, environment: Environment = ENVIRONMENT, machine: Machine = TRIXIE) -> File:
    found = settings(environment, HOST, machine, key=KEY)
    return next(each for each in found if isinstance(each, File) and each.name == name)


def test_the_settings_of_a_host_in_their_order() -> None:
    assert names(TRIXIE) == [
        "packages",
        "Docker engine 26 and compose 2.26, or newer",
        "the engine's settings",
        "the engine runs with them",
        "user deploy",
        "folder /srv/py-cicd",
        "sshd's settings",
        "sshd runs with them",
        "unattended upgrades",
        "kernel settings",
        "the kernel has them",
        "firewall rules",
        "firewall at boot",
        "the firewall is up",
    ]


@pytest.mark.parametrize("machine", [TRIXIE, Machine("ubuntu", "24.04")])
def test_a_distribution_with_a_new_engine_gives_it_itself(machine: Machine) -> None:
    (docker,) = (e for e in settings(ENVIRONMENT, HOST, machine, key=KEY) if isinstance(e, Docker))
    assert "docker.io" in docker.packages


@pytest.mark.parametrize(
    "machine", [Machine("debian", "12"), Machine("ubuntu", "22.04"), Machine("fedora", "44")]
)
def test_an_old_distribution_needs_dockers_own_packages(machine: Machine) -> None:
    with pytest.raises(UsageError, match=r"has no Docker engine 26 with compose 2\.26") as caught:
        names(machine)
    assert "--docker-source" in caught.value.hint
    assert caught.value.exit_code == 2


def test_dockers_own_packages_are_pinned_to_their_key() -> None:
    source = DockerSource("deb https://packages.example.com/linux bookworm stable", b"key\n")
    found = settings(ENVIRONMENT, HOST, Machine("debian", "12"), key=KEY, docker=source)
    files = {each.path: each.content for each in found if isinstance(each, File)}
    assert files["/etc/apt/keyrings/docker.asc"] == "key\n"
    assert files["/etc/apt/sources.list.d/docker.list"] == (
        "deb [signed-by=/etc/apt/keyrings/docker.asc] "
        "https://packages.example.com/linux bookworm stable\n"
    )
    (docker,) = (each for each in found if isinstance(each, Docker))
    assert "docker-ce" in docker.packages


def test_the_firewall_lets_in_ssh_users_and_metrics() -> None:
    environment = replace(ENVIRONMENT, metrics=METRICS)
    rules = file("firewall rules", environment, Machine("debian", "13", (22, 2222))).content
    assert "policy drop" in rules
    assert "tcp dport { 22, 80, 2222, 9443 } accept" in rules


@pytest.mark.parametrize(("port", "first"), [(80, 80), (8080, 1024)])
def test_the_edge_may_listen_without_root(port: int, first: int) -> None:
    environment = replace(ENVIRONMENT, edge=Edge(http_port=port))
    line = f"net.ipv4.ip_unprivileged_port_start = {first}"
    assert line in file("kernel settings", environment).content.splitlines()


def test_what_sshd_says_is_compared_with_its_settings() -> None:
    found = settings(ENVIRONMENT, HOST, TRIXIE, key=KEY)
    (sshd,) = (e for e in found if isinstance(e, InForce) and e.argv == ("sshd", "-T"))
    assert "permitrootlogin without-password" in sshd.lines
    assert "clientaliveinterval 15" in sshd.lines


def test_other_settings_of_the_engine_stay() -> None:
    text = merged('{"dns": ["192.0.2.53"], "live-restore": false}', DAEMON)
    assert json.loads(text) == {"dns": ["192.0.2.53"], **DAEMON}
    assert json.loads(merged("", DAEMON)) == DAEMON
    with pytest.raises(ValueError, match="no JSON object"):
        merged("[]", DAEMON)


def test_a_machine_is_read_from_what_it_says() -> None:
    release = 'PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="13"\n'
    assert parse_machine(release, "port 22\nport 2222\naddressfamily any\n") == Machine(
        "debian", "13", (22, 2222)
    )
    assert parse_machine(release, "").ssh_ports == (22,)
