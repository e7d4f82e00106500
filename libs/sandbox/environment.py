"""Renders the environment file of a sandbox. `deploy.adapters.config.loader` reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.credentials import (
    ACCOUNT,
    METRICS_USER,
    REGION,
)
from sandbox.ports import ADDRESS, AWS_SERVER, PUSH_PROXY

HTTP_PORT = 80
METRICS_PORT = 9443
# `ship up` waits for the first scrape of every replica.
SCRAPE_INTERVAL_S = 2

_HEAD = """\
# Written by `ship up`, for the deploy tool; `ship down` removes it. Paths are relative to this file.
name = "{name}"
known_hosts = "known_hosts"
ssh_key = "deploy_key"
allow_dirty = true

[registry]
account = "{account}"
region = "{region}"
endpoint_url = "http://{address}:{aws_server}"
push_via = "{address}:{push_proxy}"
credentials = "aws_credentials"

[secrets]
endpoint_url = "http://{address}:{aws_server}"
credentials = "aws_credentials"

[edge]
http_port = {http_port}
preview_port = 8081

[metrics]
prometheus_url = "http://{address}:{prometheus}"
port = {metrics_port}
ca = "ca.crt"
cert = "metrics.crt"
key = "metrics.key"
user = "{metrics_user}"
password_file = "metrics_password"
interval_s = {interval_s}
pushgateway_url = "http://{address}:{pushgateway}"
alertmanager_url = "http://{address}:{alertmanager}"
"""

_HOST = """
[[hosts]]
name = "{host}"
address = "{address}"
port = {ssh}
user = "deploy"
url = "http://{address}:{http}"
metrics_address = "{host}:{metrics_port}"
"""


def render_environment(name: str, ports: Mapping[str, int], hosts: Sequence[str]) -> str:
    """Renders environment.toml. `ports` are by purpose, as `sandbox.lifecycle` claims them."""
    head = _HEAD.format(
        name=name,
        account=ACCOUNT,
        region=REGION,
        address=ADDRESS,
        aws_server=ports[AWS_SERVER],
        push_proxy=ports[PUSH_PROXY],
        prometheus=ports["prometheus"],
        pushgateway=ports["pushgateway"],
        alertmanager=ports["alertmanager"],
        http_port=HTTP_PORT,
        metrics_port=METRICS_PORT,
        metrics_user=METRICS_USER,
        interval_s=SCRAPE_INTERVAL_S,
    )
    return head + "".join(
        _HOST.format(
            host=host,
            address=ADDRESS,
            ssh=ports[f"{host} ssh"],
            http=ports[f"{host} http"],
            metrics_port=METRICS_PORT,
        )
        for host in hosts
    )
