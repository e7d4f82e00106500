"""The containers of a sandbox's Prometheus, Alertmanager and Pushgateway.

`deploy.core.stacks.prometheus` renders Prometheus' configuration. Rules and alert routes are parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.core.config import Environment, HostConfig, Metrics, RegistryConfig
from deploy.core.stacks.prometheus import (
    CONFIG_FOLDER,
    DATA_FOLDER,
    RULES_FILE,
    prometheus_flags,
    render_environment,
)
from sandbox.containers import ContainerSpec, File, Names
from sandbox.credentials import (
    ACCOUNT,
    METRICS_USER,
    REGION,
    Credentials,
)
from sandbox.environment import METRICS_PORT, SCRAPE_INTERVAL_S

PORT = 9090
ALERTMANAGER_PORT = 9093
PUSHGATEWAY_PORT = 9091
RETENTION = ("2d", "512MB")


@dataclass(frozen=True)
class MonitoringConfig:
    """The content of Prometheus' rules file and of Alertmanager's configuration file."""

    rules: str = "groups: []\n"
    alertmanager: str = '{"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}\n'


def alertmanager_container(
    names: Names, image: str, ports: Mapping[str, int], config: MonitoringConfig
) -> ContainerSpec:
    """Returns Alertmanager's container; its silences are in a volume."""
    file = "/etc/alertmanager/alertmanager.yml"
    flags = (
        f"--config.file={file}",
        "--storage.path=/var/lib/alerts",
        f"--web.listen-address=:{ALERTMANAGER_PORT}",
        "--cluster.listen-address=",  # no cluster
    )
    return ContainerSpec(
        name=names.container("alertmanager"),
        image=image,
        aliases=("alertmanager",),
        entrypoint=("prometheus-alertmanager", *flags),
        ports=((ALERTMANAGER_PORT, ports["alertmanager"]),),
        volumes=((names.volume("alertmanager", "data"), "/var/lib/alerts"),),
        files=(File(file, config.alertmanager.encode()),),
    )


def pushgateway_container(names: Names, image: str, ports: Mapping[str, int]) -> ContainerSpec:
    """Returns the Pushgateway's container; pushed metrics are in a volume."""
    flags = (
        f"--web.listen-address=:{PUSHGATEWAY_PORT}",
        "--persistence.file=/var/lib/pushed/metrics",
        "--persistence.interval=30s",
    )
    return ContainerSpec(
        name=names.container("pushgateway"),
        image=image,
        aliases=("pushgateway",),
        entrypoint=("prometheus-pushgateway", *flags),
        ports=((PUSHGATEWAY_PORT, ports["pushgateway"]),),
        volumes=((names.volume("pushgateway", "data"), "/var/lib/pushed"),),
    )


def prometheus_container(
    names: Names,
    image: str,
    ports: Mapping[str, int],
    hosts: Sequence[str],
    credentials: Credentials,
    config: MonitoringConfig,
) -> ContainerSpec:
    """Returns the container of the Prometheus that scrapes all hosts; its samples are in a volume."""
    return ContainerSpec(
        name=names.container("prometheus"),
        image=image,
        aliases=("prometheus",),
        entrypoint=("prometheus", *prometheus_flags(RETENTION, port=PORT)),
        ports=((PORT, ports["prometheus"]),),
        volumes=((names.volume("prometheus", "data"), DATA_FOLDER),),
        files=(
            File(f"{CONFIG_FOLDER}/prometheus.yml", _render_config(names.sandbox, hosts).encode()),
            File(RULES_FILE, config.rules.encode()),
            File(f"{CONFIG_FOLDER}/ca.crt", credentials.ca_certificate),
            File(f"{CONFIG_FOLDER}/metrics_password", credentials.metrics_password, 0o600),
        ),
    )


def _render_config(sandbox: str, hosts: Sequence[str]) -> str:
    """Renders Prometheus' configuration, which uses none of the environment's paths on this machine."""
    environment = Environment(
        name=sandbox,
        hosts=tuple(
            HostConfig(name=host, address="", url="", metrics_address=f"{host}:{METRICS_PORT}")
            for host in hosts
        ),
        registry=RegistryConfig(ACCOUNT, REGION),
        known_hosts="",
        ssh_key="",
        metrics=Metrics(
            "", "", "", "", password_file="", user=METRICS_USER, interval_s=SCRAPE_INTERVAL_S
        ),
    )
    return render_environment(
        environment,
        rules=True,
        alertmanager=f"alertmanager:{ALERTMANAGER_PORT}",
        pushgateway=f"pushgateway:{PUSHGATEWAY_PORT}",
    )
