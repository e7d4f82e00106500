"""The specs of a sandbox's containers: hosts, registry and monitoring."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sandbox import credentials, sshkeys
from sandbox.containers import ContainerSpec, Names
from sandbox.credentials import Credentials
from sandbox.hosts import host_container
from sandbox.monitoring import (
    MonitoringConfig,
    alertmanager_container,
    prometheus_container,
    pushgateway_container,
)
from sandbox.registry import registry_container
from sandbox.state import Folder

NAMES = Names("blue")
PORTS = {"registry": 1002, "prometheus": 1003, "host-1 ssh": 1004, "host-1 http": 1005}
PORTS |= {"alertmanager": 1006, "pushgateway": 1007}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return credentials.ensure(Folder("blue", tmp_path_factory.mktemp("blue")))


def _file(spec: ContainerSpec, path: str) -> bytes:
    return next(file.content for file in spec.files if file.path == path)


def _json(spec: ContainerSpec, path: str) -> Any:
    return json.loads(_file(spec, path))


def _host(made: Credentials) -> ContainerSpec:
    return host_container(
        NAMES,
        "host-1",
        "sha256:1",
        PORTS,
        ca_certificate=made.ca_certificate,
        host_key=sshkeys.make_key(),
        deploy_key=made.deploy_key,
    )


def test_a_host_has_volumes_for_images_and_releases_and_publishes_ssh_and_http(
    made: Credentials,
) -> None:
    spec = _host(made)
    assert (spec.name, spec.aliases, spec.nested) == ("py-cicd-blue-host-1", ("host-1",), True)
    assert spec.ports == ((22, 1004), (80, 1005))
    assert dict(spec.volumes) == {
        "py-cicd-blue-host-1-docker": "/var/lib/docker",
        "py-cicd-blue-host-1-srv": "/srv/py-cicd",
    }


def test_a_host_accepts_the_deploy_key_and_has_only_its_public_half(made: Credentials) -> None:
    spec = _host(made)
    allowed = _file(spec, "/sandbox/authorized_keys").decode().strip()
    assert allowed == sshkeys.public_line(made.deploy_key)
    assert all(made.deploy_key not in file.content for file in spec.files)
    sshd = _file(spec, "/sandbox/sshd_config").decode()
    for line in ("PasswordAuthentication no", "PermitRootLogin no", "AllowUsers deploy"):
        assert line in sshd.splitlines()


def test_a_host_s_container_logs_are_bounded(made: Credentials) -> None:
    daemon = _json(_host(made), "/sandbox/daemon.json")
    assert daemon["log-driver"] == "local"
    assert daemon["log-opts"] == {"max-size": "10m", "max-file": "3"}


def test_the_host_s_script_is_valid_shell(made: Credentials, tmp_path: Path) -> None:
    script = tmp_path / "host.sh"
    script.write_bytes(_file(_host(made), "/sandbox/host.sh"))
    subprocess.run(["sh", "-n", str(script)], check=True)


def test_the_registry_has_ecr_s_name_and_requires_a_password_over_tls(made: Credentials) -> None:
    spec = registry_container(NAMES, "sha256:1", PORTS, made)
    config = _json(spec, "/sandbox/config.yml")
    assert "123456789012.dkr.ecr.us-east-1.amazonaws.com" in spec.aliases
    assert spec.ports == ((443, 1002),)
    assert config["auth"]["htpasswd"]["path"] == "/sandbox/htpasswd"
    assert _file(spec, config["http"]["tls"]["key"]) == made.registry_key
    assert all(file.mode == 0o600 for file in spec.files if file.path.endswith((".key", "passwd")))


def test_prometheus_scrapes_every_host_over_tls_with_the_password(made: Credentials) -> None:
    texts = MonitoringConfig("rules")
    spec = prometheus_container(NAMES, "sha256:1", PORTS, ("host-1", "host-2"), made, texts)
    config = _json(spec, "/etc/prometheus/prometheus.yml")
    job, pushed = config["scrape_configs"]
    assert pushed["static_configs"] == [{"targets": ["pushgateway:9091"]}]
    assert config["rule_files"] == ["/etc/prometheus/rules.yml"]
    assert config["alerting"]["alertmanagers"][0]["static_configs"] == [
        {"targets": ["alertmanager:9093"]}
    ]
    assert _file(spec, "/etc/prometheus/rules.yml") == b"rules"
    scraped = [group["targets"] for group in job["static_configs"]]
    assert scraped == [["host-1:9443"], ["host-2:9443"]]
    assert _file(spec, job["basic_auth"]["password_file"]) == made.metrics_password
    assert _file(spec, job["tls_config"]["ca_file"]) == made.ca_certificate


def test_alertmanager_and_pushgateway_have_ports_of_their_own(made: Credentials) -> None:
    texts = MonitoringConfig(alertmanager="routes")
    alertmanager = alertmanager_container(NAMES, "sha256:2", PORTS, texts)
    assert (alertmanager.ports, alertmanager.aliases) == (((9093, 1006),), ("alertmanager",))
    assert _file(alertmanager, "/etc/alertmanager/alertmanager.yml") == b"routes"
    pushgateway = pushgateway_container(NAMES, "sha256:2", PORTS)
    assert (pushgateway.ports, pushgateway.aliases) == (((9091, 1007),), ("pushgateway",))
