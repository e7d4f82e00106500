"""Tests of the settings for each kind of server."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deploy.core.bootstrap import (
    DAEMON,
    Docker,
    DockerSource,
    File,
    InEffect,
    ServerFacts,
    merged,
    parse_facts,
    settings,
)
from deploy.core.config import Edge, Environment, HostConfig, Metrics, RegistryConfig
from deploy.errors import UsageError

HOST = HostConfig("web-1", "192.0.2.1", "http://192.0.2.1", "192.0.2.1:9443")
ENVIRONMENT = Environment(
    "production", (HOST,), RegistryConfig("123456789012", "eu-central-1"), "known_hosts", "key"
)
METRICS = Metrics("http://prometheus", "ca", "cert", "key", "password")
TRIXIE = ServerFacts("debian", "13", (22,))
KEY = "ssh-ed25519 AAAA py-cicd"


def names(facts: ServerFacts, docker: DockerSource | None = None) -> list[str]:
    return [each.name for each in settings(ENVIRONMENT, HOST, facts, key=KEY, docker=docker)]


def file(name: str, environment: Environment = ENVIRONMENT, facts: ServerFacts = TRIXIE) -> File:
    found = settings(environment, HOST, facts, key=KEY)
    return next(each for each in found if isinstance(each, File) and each.name == name)


def test_settings_are_in_the_order_to_apply_them() -> None:
    assert names(TRIXIE) == [
        "packages",
        "Docker engine 26 and compose 2.26, or newer",
        "engine settings",
        "engine settings in effect",
        "user deploy",
        "folder /srv/py-cicd",
        "sshd settings",
        "sshd settings in effect",
        "unattended upgrades",
        "kernel settings",
        "kernel settings in effect",
        "firewall rules",
        "firewall at boot",
        "firewall in effect",
    ]


@pytest.mark.parametrize("facts", [TRIXIE, ServerFacts("ubuntu", "24.04")])
def test_distribution_with_a_new_engine_uses_its_own_package(facts: ServerFacts) -> None:
    (docker,) = (e for e in settings(ENVIRONMENT, HOST, facts, key=KEY) if isinstance(e, Docker))
    assert "docker.io" in docker.packages


@pytest.mark.parametrize(
    "facts",
    [ServerFacts("debian", "12"), ServerFacts("ubuntu", "22.04"), ServerFacts("fedora", "44")],
)
def test_old_distribution_needs_dockers_repository(facts: ServerFacts) -> None:
    with pytest.raises(UsageError, match=r"has no Docker engine 26 with compose 2\.26") as caught:
        names(facts)
    assert "--docker-source" in caught.value.hint
    assert caught.value.exit_code == 2


def test_dockers_repository_is_pinned_to_its_key() -> None:
    source = DockerSource("deb https://packages.example.com/linux bookworm stable", b"key\n")
    found = settings(ENVIRONMENT, HOST, ServerFacts("debian", "12"), key=KEY, docker=source)
    files = {each.path: each.content for each in found if isinstance(each, File)}
    assert files["/etc/apt/keyrings/docker.asc"] == "key\n"
    assert files["/etc/apt/sources.list.d/docker.list"] == (
        "deb [signed-by=/etc/apt/keyrings/docker.asc] "
        "https://packages.example.com/linux bookworm stable\n"
    )
    (docker,) = (each for each in found if isinstance(each, Docker))
    assert "docker-ce" in docker.packages


def test_firewall_accepts_ssh_http_and_metrics() -> None:
    environment = replace(ENVIRONMENT, metrics=METRICS)
    rules = file("firewall rules", environment, ServerFacts("debian", "13", (22, 2222))).content
    assert "policy drop" in rules
    assert "tcp dport { 22, 80, 2222, 9443 } accept" in rules


@pytest.mark.parametrize(("port", "first"), [(80, 80), (8080, 1024)])
def test_edge_can_listen_without_root(port: int, first: int) -> None:
    environment = replace(ENVIRONMENT, edge=Edge(http_port=port))
    line = f"net.ipv4.ip_unprivileged_port_start = {first}"
    assert line in file("kernel settings", environment).content.splitlines()


def test_effective_sshd_settings_are_compared_in_sshds_own_spelling() -> None:
    found = settings(ENVIRONMENT, HOST, TRIXIE, key=KEY)
    (sshd,) = (e for e in found if isinstance(e, InEffect) and e.argv == ("sshd", "-T"))
    assert "permitrootlogin without-password" in sshd.lines
    assert "clientaliveinterval 15" in sshd.lines


def test_merging_keeps_other_engine_settings() -> None:
    text = merged('{"dns": ["192.0.2.53"], "live-restore": false}', DAEMON)
    assert json.loads(text) == {"dns": ["192.0.2.53"], **DAEMON}
    assert json.loads(merged("", DAEMON)) == DAEMON
    with pytest.raises(ValueError, match="not a JSON object"):
        merged("[]", DAEMON)


def test_facts_are_parsed_from_os_release_and_sshd() -> None:
    release = 'PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="13"\n'
    assert parse_facts(release, "port 22\nport 2222\naddressfamily any\n") == ServerFacts(
        "debian", "13", (22, 2222)
    )
    assert parse_facts(release, "").ssh_ports == (22,)
