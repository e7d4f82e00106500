"""The environment's Prometheus in a sandbox, as a value; what it is told is `deploy.core.monitoring`'s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploy.core.config import Environment, HostConfig, Metrics, Registry
from deploy.core.monitoring import CONFIG_FOLDER, DATA_FOLDER, prometheus_flags, render_environment
from sandbox.containers import Container, File, Names
from sandbox.environment import METRICS_PORT, SCRAPE_INTERVAL_S
from sandbox.identity import ACCOUNT, METRICS_USER, REGION, Identity

PORT = 9090
RETENTION = ("2d", "512MB")


def collector(
    names: Names, image: str, ports: Mapping[str, int], hosts: Sequence[str], identity: Identity
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
        registry=Registry(ACCOUNT, REGION),
        known_hosts="",
        ssh_key="",
        metrics=Metrics(
            "", "", "", "", password_file="", user=METRICS_USER, interval_s=SCRAPE_INTERVAL_S
        ),
    )
    return render_environment(environment)
