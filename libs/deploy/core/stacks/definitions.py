"""Defines the stacks that every host runs beside its services."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

from deploy.core.config import Edge, Environment, Metrics
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.stacks.prometheus import (
    node_flags,
    render_compose,
    render_exporter_compose,
    render_prometheus,
    render_web,
)
from deploy.core.state.edge import EdgeState
from deploy.core.state.stack import Stack

WATCHDOG_PACKAGES = ("watchdog", "engine_api")
EXPORTER_PACKAGES = ("exporter", "engine_api")
"""The packages under libs/ that are copied to hosts for a stack: its own, and all that it imports."""


class StackName(StrEnum):
    """The stacks that a host can run."""

    EDGE = "edge"
    WATCHDOG = "watchdog"
    METRICS = "metrics"
    EXPORTER = "exporter"


def stack_names(environment: Environment) -> tuple[StackName, ...]:
    """Returns the stacks of every host: edge and watchdog, and with [metrics] Prometheus and our exporter."""
    if environment.metrics is None:
        return (StackName.EDGE, StackName.WATCHDOG)
    return (StackName.EDGE, StackName.WATCHDOG, StackName.METRICS, StackName.EXPORTER)


def base_of(name: StackName) -> str:
    """Returns the base image, a folder of deploy/base, that a stack runs."""
    match name:
        case StackName.EDGE:
            return "edge"
        case StackName.METRICS:
            return "prometheus"
        case StackName.WATCHDOG | StackName.EXPORTER:
            return "python"
        case _:
            assert_never(name)


def edge_stack(image: str, edge_yml: str, on_host_yml: str, nginx_conf: str, edge: Edge) -> Stack:
    """Returns the edge's stack from the texts of deploy/edge.yml, edge-on-host.yml and deploy/nginx/nginx.conf.

    Each edge has its own files under its key, including nginx.conf, so that two can run side by side and a revert
    finds the old one. All edges share one file of routes (docs/adr/0012).
    """
    http_port, preview_port = edge.http_port, edge.preview_port
    key = _key(image, (edge_yml, on_host_yml, nginx_conf, http_port, preview_port))
    conf = f"{key}/nginx.conf"
    files = (
        (f"{key}/compose.yml", on_host_yml, 0o644),
        (f"{key}/edge.yml", edge_yml, 0o644),
        (f"conf/{conf}", nginx_conf, 0o644),
    )
    # Routes belong to the services. The first edge of a host answers 503 until a release is live.
    routes = render_edge(EdgeState(), http_port=http_port, preview_port=preview_port)
    return Stack(
        "edge",
        image,
        key,
        files,
        initial_files=(("conf/routes.conf", routes, 0o644),),
        side_by_side=True,
        settings=f"EDGE_CONF=../conf\nEDGE_NGINX_CONF={conf}\n",
        check=("nginx", "-t", "-q", "-c", f"/etc/nginx/py-cicd/{conf}"),
        check_at=("conf", "/etc/nginx/py-cicd"),
    )


def watchdog_stack(image: str, watchdog_yml: str, modules: Mapping[str, str]) -> Stack:
    """Returns the watchdog's stack from deploy/watchdog.yml and the texts of its modules.

    `modules` are those of WATCHDOG_PACKAGES by path (`watchdog/record.py`); `image` is the Python base image.
    """
    code = tuple((f"code/{path}", text, 0o644) for path, text in sorted(modules.items()))
    files = (("compose.yml", watchdog_yml, 0o644), *code)
    return Stack("watchdog", image, _key(image, files), files)


def metrics_stack(
    image: str,
    metrics: Metrics,
    *,
    cert: str,
    key: str,
    password: str,
    password_hash: str,
    interval_s: int,
) -> Stack:
    """Returns the stack of a host's Prometheus.

    `cert` and `key` are PEM texts, `password_hash` is the bcrypt hash of `password`.
    """
    config = render_prometheus(interval_s=interval_s)
    # The password, since its hash has a new salt each time.
    settings = (cert, key, password, metrics.user, metrics.port, config, node_flags())
    identity = _key(image, settings)
    files = (
        ("compose.yml", render_compose(image, port=metrics.port, key=identity), 0o644),
        ("conf/prometheus.yml", config, 0o644),
        ("conf/web.yml", render_web(metrics.user, password_hash), 0o600),
        ("conf/tls.crt", cert, 0o644),
        ("conf/tls.key", key, 0o600),
    )
    return Stack("metrics", image, identity, files)


def exporter_stack(image: str, modules: Mapping[str, str], edge: Edge) -> Stack:
    """Returns the stack of our own exporter from the texts of EXPORTER_PACKAGES, on the Python base image."""
    url = f"http://127.0.0.1:{edge.preview_port}/-/nginx"
    identity = _key(image, (sorted(modules.items()), url))
    compose = render_exporter_compose(image, edge_status_url=url, key=identity)
    code = ((f"conf/{path}", text, 0o644) for path, text in sorted(modules.items()))
    files = (("compose.yml", compose, 0o644), *code)
    return Stack("exporter", image, identity, files)


def _key(image: str, what: object) -> str:
    return hashlib.sha256(repr((image, what)).encode()).hexdigest()[:16]
