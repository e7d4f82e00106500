"""Tests of the rendered configuration of Prometheus, which is JSON."""

from __future__ import annotations

import json

import pytest

from deploy.core.config import Environment, HostConfig, Metrics, RegistryConfig
from deploy.core.stacks.prometheus import (
    HOST_JOBS,
    node_flags,
    render_compose,
    render_environment,
    render_exporter_compose,
    render_prometheus,
    render_web,
)

IMAGE = "registry.test/prometheus@sha256:" + "1" * 64


def _environment(metrics: Metrics | None) -> Environment:
    hosts = tuple(
        HostConfig(name, address="", url="", metrics_address=f"{name}.test:9443")
        for name in ("one", "two")
    )
    return Environment("blue", hosts, RegistryConfig("1", "eu-1"), "", "", metrics=metrics)


def test_hosts_prometheus_reads_target_files_and_has_a_size_limit() -> None:
    compose = json.loads(render_compose(IMAGE, port=9443, key="k1"))
    metrics = compose["services"]["metrics"]
    assert metrics["image"] == IMAGE
    assert metrics["labels"]["py-cicd.key"] == "k1"
    assert metrics["cap_drop"] == ["ALL"]
    assert "./conf:/etc/prometheus:ro" in metrics["volumes"]
    assert "--storage.tsdb.retention.size=256MB" in metrics["command"]
    assert "--web.config.file=/etc/prometheus/web.yml" in metrics["command"]
    assert {each["network_mode"] for each in compose["services"].values()} == {"host"}
    replicas, node, exporter = json.loads(render_prometheus(interval_s=2))["scrape_configs"]
    assert replicas["file_sd_configs"][0]["files"] == ["/etc/prometheus/targets/*.json"]
    assert [each["job_name"] for each in (replicas, node, exporter)] == list(HOST_JOBS)


@pytest.mark.parametrize(("interval_s", "every", "timeout"), [(2, "5s", "5s"), (15, "15s", "10s")])
def test_hosts_exporters_are_scraped_on_the_loopback_at_a_limited_rate(
    interval_s: int, every: str, timeout: str
) -> None:
    _, node, exporter = json.loads(render_prometheus(interval_s=interval_s))["scrape_configs"]
    for job in (node, exporter):
        assert (job["scrape_interval"], job["scrape_timeout"]) == (every, timeout)
    assert node["static_configs"] == [{"targets": ["127.0.0.1:9172"]}]
    assert exporter["static_configs"] == [{"targets": ["127.0.0.1:9171"]}]
    assert "--web.listen-address=127.0.0.1:9172" in node_flags()


def test_exporter_mounts_everything_read_only() -> None:
    url = "http://127.0.0.1:8081/-/nginx"
    compose = json.loads(render_exporter_compose(IMAGE, edge_status_url=url, key="k2"))
    exporter = compose["services"]["exporter"]
    assert exporter["labels"] == {"py-cicd.name": "exporter", "py-cicd.key": "k2"}
    assert all(each.endswith(":ro") for each in exporter["volumes"])
    assert (exporter["read_only"], exporter["cap_drop"]) == (True, ["ALL"])
    assert exporter["environment"]["EDGE_STATUS_URL"] == url


def test_dollars_are_escaped_for_compose() -> None:
    assert "$$2b$$10" in render_compose("image", port=1, key="$2b$10")


def test_web_config_requires_tls_and_one_user() -> None:
    web = json.loads(render_web("prometheus", "$2b$10$hash"))
    assert web["basic_auth_users"] == {"prometheus": "$2b$10$hash"}
    assert web["tls_server_config"]["key_file"] == "tls.key"


@pytest.mark.parametrize(("interval_s", "timeout"), [(2, "2s"), (30, "10s")])
def test_environments_prometheus_collects_every_host_and_keeps_its_labels(
    interval_s: int, timeout: str
) -> None:
    metrics = Metrics("", "", "", "", password_file="", user="who", interval_s=interval_s)
    config = json.loads(render_environment(_environment(metrics)))
    (job,) = config["scrape_configs"]
    assert config["global"]["scrape_interval"] == f"{interval_s}s"
    assert config["global"]["scrape_timeout"] == timeout
    assert (job["scheme"], job["honor_labels"], job["basic_auth"]["username"]) == (
        "https",
        True,
        "who",
    )
    assert [(each["targets"], each["labels"]) for each in job["static_configs"]] == [
        (["one.test:9443"], {"host": "one"}),
        (["two.test:9443"], {"host": "two"}),
    ]


def test_environment_without_metrics_is_an_error() -> None:
    with pytest.raises(ValueError, match="blue has no"):
        render_environment(_environment(None))


def test_environment_without_rules_or_alertmanager_configures_none() -> None:
    metrics = Metrics("", "", "", "", password_file="")
    config = json.loads(render_environment(_environment(metrics)))
    assert set(config) == {"global", "scrape_configs"}
