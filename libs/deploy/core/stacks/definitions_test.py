"""The stacks beside the services: what changes their keys, and which files contain secrets."""

from __future__ import annotations

from dataclasses import replace

from deploy.core.config import Edge, Environment, Metrics, RegistryConfig
from deploy.core.stacks.definitions import (
    StackName,
    base_of,
    edge_stack,
    exporter_stack,
    metrics_stack,
    stack_names,
)
from deploy.core.state.edge import EdgeState, parse_edge
from deploy.core.state.stack import Stack

METRICS = Metrics("http://127.0.0.1:9090", "ca", "cert", "key", "password")


def edge(nginx_conf: str = "events {}\n", *, port: int = 80, image: str = "edge@sha256:1") -> Stack:
    return edge_stack(image, "services: {}\n", "services: {}\n", nginx_conf, Edge(http_port=port))


def metrics(**changed: str) -> Stack:
    settings = {"cert": "CERT", "key": "KEY", "password": "made-up", "password_hash": "$2b$one"}
    return metrics_stack("prometheus@sha256:1", METRICS, **{**settings, **changed}, interval_s=15)


def test_prometheus_and_exporter_need_metrics_in_the_environment() -> None:
    registry = RegistryConfig("123456789012", "eu-central-1")
    environment = Environment("production", (), registry, "known_hosts", "key")
    always = (StackName.EDGE, StackName.WATCHDOG)
    assert stack_names(environment) == always
    assert stack_names(replace(environment, metrics=METRICS)) == (
        *always,
        StackName.METRICS,
        StackName.EXPORTER,
    )


def test_every_stack_has_a_base_image() -> None:
    assert {name: base_of(name) for name in StackName} == {
        "edge": "edge",
        "watchdog": "python",
        "metrics": "prometheus",
        "exporter": "python",
    }


def test_the_key_of_an_edge_depends_on_its_image_text_and_ports() -> None:
    keys = {
        edge().key,
        edge("events { }\n").key,
        edge(port=8080).key,
        edge(image="edge@sha256:2").key,
    }
    assert len(keys) == 4
    assert edge().key == edge().key


def test_the_routes_are_an_initial_file_only() -> None:
    stack = edge()
    assert [path for path, _, _ in stack.initial_files] == ["conf/routes.conf"]
    assert parse_edge(stack.initial_files[0][1]) == EdgeState()
    assert "conf/routes.conf" not in [path for path, _, _ in stack.files]


def test_another_salt_of_the_same_password_keeps_the_key() -> None:
    assert metrics(password_hash="$2b$two").key == metrics().key
    assert metrics(password="other").key != metrics().key
    assert metrics(key="OTHER").key != metrics().key


def test_no_file_contains_the_password_and_only_the_owner_reads_secrets() -> None:
    files = {path: (text, mode) for path, text, mode in metrics(password="hunter2").files}
    assert not any("hunter2" in text for text, _ in files.values())
    assert files["conf/tls.key"] == ("KEY", 0o600)
    assert files["conf/web.yml"][1] == 0o600


def test_the_key_of_the_exporter_depends_on_its_code_and_port() -> None:
    one = exporter_stack("python@sha256:1", {"exporter/__main__.py": "pass\n"}, Edge())
    other = exporter_stack("python@sha256:1", {"exporter/__main__.py": "...\n"}, Edge())
    assert one.key != other.key
    assert (
        exporter_stack("python@sha256:1", {"exporter/__main__.py": "pass\n"}, Edge()).key == one.key
    )
    assert ("conf/exporter/__main__.py", "pass\n", 0o644) in one.files
    assert exporter_stack("python@sha256:1", {}, Edge(preview_port=9)).key != one.key
