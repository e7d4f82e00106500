"""The environment file, read by the deploy tool's own loader."""

from __future__ import annotations

from pathlib import Path

from deploy.adapters.config.loader import load_environment
from sandbox.environment import render_environment

PORTS = {
    "control plane": 1001,
    "pushes": 1002,
    "prometheus": 1003,
    "pushgateway": 1013,
    "alertmanager": 1014,
    "host-1 ssh": 1004,
    "host-1 http": 1005,
    "host-2 ssh": 1006,
    "host-2 http": 1007,
}


def test_the_deploy_tool_reads_it_like_any_environment_file(tmp_path: Path) -> None:
    file = tmp_path / "environment.toml"
    file.write_text(render_environment("blue", PORTS, ("host-1", "host-2")))
    read = load_environment(file)
    assert (read.name, read.names, read.allow_dirty) == ("blue", ("host-1", "host-2"), True)
    second = read.hosts[1]
    assert (second.address, second.port, second.user) == ("127.0.0.1", 1006, "deploy")
    assert (second.url, second.metrics_address) == ("http://127.0.0.1:1007", "host-2:9443")
    assert read.registry.name == "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    assert read.registry.endpoint_url == "http://127.0.0.1:1001"
    assert read.registry.push_via == "127.0.0.1:1002"
    assert read.ssh_key == str(tmp_path / "deploy_key")
    assert read.metrics is not None
    assert read.metrics.prometheus_url == "http://127.0.0.1:1003"
    assert read.metrics.pushgateway_url == "http://127.0.0.1:1013"
    assert read.metrics.alertmanager_url == "http://127.0.0.1:1014"
    assert (read.metrics.key, read.metrics.interval_s) == (str(tmp_path / "metrics.key"), 2)
