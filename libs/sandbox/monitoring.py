"""The environment's Prometheus in a sandbox, with Alertmanager and Pushgateway, as values.

What Prometheus is told is `deploy.core.stacks.prometheus`'s; rules and routes are texts that come in.
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
from sandbox.containers import Container, File, Names
from sandbox.credentials import (
    ACCOUNT,
    METRICS_USER,
    REGION,
    Identity,
)
from sandbox.environment import METRICS_PORT, SCRAPE_INTERVAL_S

PORT = 9090
ALERTMANAGER_PORT = 9093
PUSHGATEWAY_PORT = 9091
RETENTION = ("2d", "512MB")


@dataclass(frozen=True)
class Watch:
    """What the environment is watched by: Prometheus' rules and Alertmanager's configuration, as texts."""

    rules: str = "groups: []\n"
    alertmanager: str = '{"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}\n'


def alertmanager(names: Names, image: str, ports: Mapping[str, int], watch: Watch) -> Container:
    """Describes Alertmanager; what is silenced lies in a volume."""
    config = "/etc/alertmanager/alertmanager.yml"
    flags = (
        f"--config.file={config}",
        "--storage.path=/var/lib/alerts",
        f"--web.listen-address=:{ALERTMANAGER_PORT}",
        "--cluster.listen-address=",  # one of it
    )
    return Container(
        name=names.container("alertmanager"),
        image=image,
        aliases=("alertmanager",),
        entrypoint=("prometheus-alertmanager", *flags),
        ports=((ALERTMANAGER_PORT, ports["alertmanager"]),),
        volumes=((names.volume("alertmanager", "data"), "/var/lib/alerts"),),
        files=(File(config, watch.alertmanager.encode()),),
    )


def pushgateway(names: Names, image: str, ports: Mapping[str, int]) -> Container:
    """Describes the Pushgateway; what was pushed outlives it in a volume."""
    flags = (
        f"--web.listen-address=:{PUSHGATEWAY_PORT}",
        "--persistence.file=/var/lib/pushed/metrics",
        "--persistence.interval=30s",
    )
    return Container(
        name=names.container("pushgateway"),
        image=image,
        aliases=("pushgateway",),
        entrypoint=("prometheus-pushgateway", *flags),
        ports=((PUSHGATEWAY_PORT, ports["pushgateway"]),),
        volumes=((names.volume("pushgateway", "data"), "/var/lib/pushed"),),
    )


def collector(
    names: Names,
    image: str,
    ports: Mapping[str, int],
    hosts: Sequence[str],
    identity: Identity,
    watch: Watch,
) -> Container:
    """Describes the Prometheus that collects from all hosts; what it knows lies in a volume."""
    return Container(
        name=names.container("prometheus"),
        image=image,
        aliases=("prometheus",),
        entrypoint=("prometheus", *prometheus_flags(RETENTION, port=PORT)),
        ports=((PORT, ports["prometheus"]),),
        volumes=((names.volume("prometheus", "data"), DATA_FOLDER),),
        files=(
            File(f"{CONFIG_FOLDER}/prometheus.yml", _config(names.sandbox, hosts).encode()),
            File(RULES_FILE, watch.rules.encode()),
            File(f"{CONFIG_FOLDER}/ca.crt", identity.authority),
            File(f"{CONFIG_FOLDER}/metrics_password", identity.metrics_password, 0o600),
        ),
    )


def _config(sandbox: str, hosts: Sequence[str]) -> str:
    """Renders from the environment's values; the paths of files on this machine play no part in it."""
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
