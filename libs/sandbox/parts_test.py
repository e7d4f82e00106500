"""What hosts, registry and collector are given, read back from the values that the engine is given."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sandbox import credentials as identities
from sandbox import sshkeys
from sandbox.containers import Container, Names
from sandbox.credentials import Identity
from sandbox.hosts import host
from sandbox.monitoring import (
    Watch,
    alertmanager,
    collector,
    pushgateway,
)
from sandbox.registry import registry
from sandbox.state import Folder

NAMES = Names("blue")
PORTS = {"registry": 1002, "prometheus": 1003, "host-1 ssh": 1004, "host-1 http": 1005}
PORTS |= {"alertmanager": 1006, "pushgateway": 1007}


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identities.ensure(Folder("blue", tmp_path_factory.mktemp("blue")))


def _file(container: Container, path: str) -> bytes:
    return next(file.content for file in container.files if file.path == path)


def _json(container: Container, path: str) -> Any:
    return json.loads(_file(container, path))


def _host(identity: Identity) -> Container:
    return host(
        NAMES,
        "host-1",
        "sha256:1",
        PORTS,
        authority=identity.authority,
        host_key=sshkeys.make_key(),
        deploy_key=identity.deploy_key,
    )


def test_a_host_keeps_its_engine_s_data_and_releases_and_publishes_ssh_and_http(
    identity: Identity,
) -> None:
    made = _host(identity)
    assert (made.name, made.aliases, made.nested) == ("py-cicd-blue-host-1", ("host-1",), True)
    assert made.ports == ((22, 1004), (80, 1005))
    assert dict(made.volumes) == {
        "py-cicd-blue-host-1-docker": "/var/lib/docker",
        "py-cicd-blue-host-1-srv": "/srv/py-cicd",
    }


def test_a_host_lets_the_deploy_key_in_and_holds_no_private_half_of_it(identity: Identity) -> None:
    made = _host(identity)
    allowed = _file(made, "/sandbox/authorized_keys").decode().strip()
    assert allowed == sshkeys.public_line(identity.deploy_key)
    assert all(identity.deploy_key not in file.content for file in made.files)
    sshd = _file(made, "/sandbox/sshd_config").decode()
    for line in ("PasswordAuthentication no", "PermitRootLogin no", "AllowUsers deploy"):
        assert line in sshd.splitlines()


def test_a_host_s_logs_are_bounded(identity: Identity) -> None:
    daemon = _json(_host(identity), "/sandbox/daemon.json")
    assert daemon["log-driver"] == "local"
    assert daemon["log-opts"] == {"max-size": "10m", "max-file": "3"}


def test_the_host_s_script_is_valid_shell(identity: Identity, tmp_path: Path) -> None:
    script = tmp_path / "host.sh"
    script.write_bytes(_file(_host(identity), "/sandbox/host.sh"))
    subprocess.run(["sh", "-n", str(script)], check=True)


def test_the_registry_has_ecr_s_name_and_asks_for_a_password_over_tls(identity: Identity) -> None:
    made = registry(NAMES, "sha256:1", PORTS, identity)
    config = _json(made, "/sandbox/config.yml")
    assert "123456789012.dkr.ecr.us-east-1.amazonaws.com" in made.aliases
    assert made.ports == ((443, 1002),)
    assert config["auth"]["htpasswd"]["path"] == "/sandbox/htpasswd"
    assert _file(made, config["http"]["tls"]["key"]) == identity.registry_key
    assert all(file.mode == 0o600 for file in made.files if file.path.endswith((".key", "passwd")))


def test_the_collector_asks_every_host_over_tls_with_the_password(identity: Identity) -> None:
    made = collector(NAMES, "sha256:1", PORTS, ("host-1", "host-2"), identity, Watch("rules"))
    config = _json(made, "/etc/prometheus/prometheus.yml")
    job, pushed = config["scrape_configs"]
    assert pushed["static_configs"] == [{"targets": ["pushgateway:9091"]}]
    assert config["rule_files"] == ["/etc/prometheus/rules.yml"]
    assert config["alerting"]["alertmanagers"][0]["static_configs"] == [
        {"targets": ["alertmanager:9093"]}
    ]
    assert _file(made, "/etc/prometheus/rules.yml") == b"rules"
    asked = [each["targets"] for each in job["static_configs"]]
    assert asked == [["host-1:9443"], ["host-2:9443"]]
    assert _file(made, job["basic_auth"]["password_file"]) == identity.metrics_password
    assert _file(made, job["tls_config"]["ca_file"]) == identity.authority


def test_alertmanager_and_pushgateway_answer_on_ports_of_their_own(identity: Identity) -> None:
    told = alertmanager(NAMES, "sha256:2", PORTS, Watch(alertmanager="routes"))
    assert (told.ports, told.aliases) == (((9093, 1006),), ("alertmanager",))
    assert _file(told, "/etc/alertmanager/alertmanager.yml") == b"routes"
    took = pushgateway(NAMES, "sha256:2", PORTS)
    assert (took.ports, took.aliases) == (((9091, 1007),), ("pushgateway",))
