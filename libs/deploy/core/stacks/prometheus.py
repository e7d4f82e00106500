"""Renders the configuration of each host's Prometheus and of the environment's.

A host's Prometheus runs in the host's network. It scrapes the replicas by their addresses, and the node exporter and
our exporter on the loopback. The environment's Prometheus collects from the hosts over TLS with a password. The texts
are JSON, which is valid YAML in which no value can be misread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deploy.core.config import Environment, Metrics
from deploy.core.state.release import Release
from deploy.core.yaml_text import write_yaml

CONFIG_FOLDER = "/etc/prometheus"
RULES_FILE = f"{CONFIG_FOLDER}/rules.yml"
# The image doesn't have this folder, so the volume belongs to root, as whom Prometheus runs (see render_compose).
DATA_FOLDER = "/var/lib/metrics"
PROJECT = "py-cicd-metrics"
CONTAINER = "metrics"

# On the loopback of each host. They differ from the usual ports of exporters, which a host may run itself.
EXPORTER_PORT = 9171
NODE_PORT = 9172
# The shortest scrape interval of the host's exporters: their queries cost the engine more than a scrape of replicas.
HOST_INTERVAL_S = 5
# The jobs that a host's Prometheus scrapes and the environment's collects.
HOST_JOBS = ("replicas", "node", "exporter")
_NODE_COLLECTORS = (
    *(
        "cpu",
        "diskstats",
        "filefd",
        "filesystem",
        "loadavg",
        "meminfo",
        "netdev",
        "netstat",
        "stat",
    ),
    *("time", "uname", "vmstat"),
)
_NO_DISKS = (
    "autofs|binfmt_misc|cgroup2?|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|mqueue|nsfs|overlay|proc|pstore"
    "|securityfs|sysfs|tmpfs|tracefs|squashfs"
)

HOST_RETENTION = ("2h", "256MB")


def prometheus_flags(
    retention: tuple[str, str], *, port: int, web_config: str | None = None
) -> tuple[str, ...]:
    """Returns Prometheus' flags. `retention` is (time, size); whichever limit is reached first counts.

    https://prometheus.io/docs/prometheus/latest/storage/#operational-aspects
    """
    kept_for, kept_size = retention
    flags = (
        f"--config.file={CONFIG_FOLDER}/prometheus.yml",
        f"--storage.tsdb.path={DATA_FOLDER}",
        f"--storage.tsdb.retention.time={kept_for}",
        f"--storage.tsdb.retention.size={kept_size}",
        "--enable-feature=exemplar-storage",
        f"--web.listen-address=:{port}",
    )
    return (*flags, f"--web.config.file={web_config}") if web_config else flags


def render_compose(image: str, *, port: int, key: str) -> str:
    """Returns the compose file of a host's Prometheus and node exporter, for the folder above `conf/`.

    `image` is `name@sha256:...` and contains both programs. `port` is opened on the host; `key` is the stack's key.
    Prometheus runs as root with only the capability to read files of others: TLS key and password hash belong to the
    deploy user with mode 0600, and that user's id differs from host to host.
    """
    web_config = f"{CONFIG_FOLDER}/web.yml"
    metrics = {
        **_service(image, CONTAINER, key),
        "user": "0:0",
        "cap_add": ["DAC_OVERRIDE"],
        "entrypoint": ["prometheus"],
        "command": list(prometheus_flags(HOST_RETENTION, port=port, web_config=web_config)),
        "volumes": [f"./conf:{CONFIG_FOLDER}:ro", f"data:{DATA_FOLDER}"],
    }
    node = {
        **_service(image, "node", key),
        "user": "0:0",
        # Without it the kernel hides the mounts of other processes, and the engine's disk would be missing.
        "cap_add": ["SYS_PTRACE"],
        "entrypoint": ["prometheus-node-exporter"],
        "command": list(node_flags()),
        "volumes": ["/:/host:ro"],
    }
    services = {CONTAINER: metrics, "node": node}
    return _compose(PROJECT, services, volumes={"data": {}})


def render_exporter_compose(image: str, *, edge_status_url: str, key: str) -> str:
    """Returns the compose file of our exporter, whose package is in `conf/`.

    It reads the engine's socket and the host's files, which equals root on the host. Therefore it listens on the
    loopback only and uses nothing but the standard library.
    """
    service = {
        **_service(image, "exporter", key),
        "user": "0:0",
        "cap_add": ["DAC_OVERRIDE"],
        "mem_limit": "96m",
        "command": ["/usr/bin/python3", "-P", "-m", "exporter"],
        "environment": {
            "PYTHONPATH": "/opt",
            "PORT": str(EXPORTER_PORT),
            "EDGE_STATUS_URL": edge_status_url,
            "CERTIFICATE": "/host/srv/py-cicd/metrics/conf/tls.crt",
            "REGISTRY_LOGIN": "/host/srv/py-cicd/registry-login",
        },
        "volumes": [
            "./conf:/opt:ro",
            "/:/host:ro",
            "/var/run/docker.sock:/var/run/docker.sock:ro",
        ],
    }
    return _compose("py-cicd-exporter", {"exporter": service}, volumes={})


def node_flags() -> tuple[str, ...]:
    """Returns the node exporter's flags: only the collectors that dashboards and alerts need.

    https://github.com/prometheus/node_exporter#collectors
    """
    return (
        "--path.rootfs=/host",
        "--path.procfs=/host/proc",
        "--path.sysfs=/host/sys",
        f"--web.listen-address=127.0.0.1:{NODE_PORT}",
        "--web.disable-exporter-metrics",
        "--collector.disable-defaults",
        *(f"--collector.{name}" for name in _NODE_COLLECTORS),
        f"--collector.filesystem.fs-types-exclude=^({_NO_DISKS})$",
        "--collector.netdev.device-exclude=^(lo|veth.*|br-.*|docker.*)$",
    )


def _service(image: str, name: str, key: str) -> dict[str, Any]:
    """Returns what all services have in common: the host's network, no capabilities, bounded logs."""
    return {
        "image": image,
        "container_name": name,
        "network_mode": "host",
        "init": True,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "always",
        "logging": {"driver": "local", "options": {"max-size": "10m", "max-file": "3"}},
        "labels": {"py-cicd.name": name, "py-cicd.key": key},
    }


def _compose(project: str, services: dict[str, Any], *, volumes: dict[str, Any]) -> str:
    volumes_table = {"volumes": volumes} if volumes else {}
    return _dump({"name": project, "services": services, **volumes_table}).replace("$", "$$")


def render_prometheus(*, interval_s: int) -> str:
    """Returns a host's prometheus.yml: it scrapes every replica in the target files, and the host's exporters."""
    discovery = {"files": [f"{CONFIG_FOLDER}/targets/*.json"], "refresh_interval": "5s"}
    every = f"{max(interval_s, HOST_INTERVAL_S)}s"
    exporters = [
        {
            "job_name": job,
            "scrape_interval": every,
            "scrape_timeout": every if interval_s < 10 else "10s",
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        }
        for job, port in (("node", NODE_PORT), ("exporter", EXPORTER_PORT))
    ]
    return _config(
        interval_s, [{"job_name": "replicas", "file_sd_configs": [discovery]}, *exporters]
    )


def render_web(user: str, password_hash: str) -> str:
    """Returns a host's web.yml: TLS and one user. `password_hash` is a bcrypt hash.

    https://prometheus.io/docs/prometheus/latest/configuration/https/
    """
    tls = {"cert_file": "tls.crt", "key_file": "tls.key", "min_version": "TLS12"}
    return _dump({"tls_server_config": tls, "basic_auth_users": {user: password_hash}})


def render_targets(host: str, releases: Iterable[tuple[Release, str]]) -> str:
    """Returns targets/SERVICE.json with one entry per replica. `releases` are pairs of a release and its track."""
    return _dump(
        [
            {
                "targets": [f"{address}:{release.metrics_port}"],
                "labels": {
                    "service": release.service,
                    "release": release.id,
                    "replica": replica,
                    "host": host,
                    "track": track,
                },
            }
            for release, track in releases
            for replica, address in zip(release.names, release.addresses, strict=True)
        ]
    )


def targets_digest(host: str, releases: Iterable[tuple[Release, str]]) -> str:
    """Returns the SHA-256 of the text of `render_targets`."""
    return hashlib.sha256(render_targets(host, releases).encode()).hexdigest()


def render_environment(
    environment: Environment, *, rules: bool = False, alertmanager: str = "", pushgateway: str = ""
) -> str:
    """Returns the environment's prometheus.yml. The CA and the password are files beside it in CONFIG_FOLDER.

    Series keep the labels and times of the host. A series that the host no longer has ends immediately, so that a
    removed replica is not counted for another five minutes. With `rules` RULES_FILE is evaluated. `alertmanager` and
    `pushgateway` are `host:port`, "" for none. Raises ValueError if the environment has no [metrics].
    """
    metrics = environment.metrics
    if metrics is None:
        raise ValueError(f"environment {environment.name} has no [metrics]")
    addresses = [(host.name, host.metrics_address) for host in environment.hosts]
    jobs = [_federation(metrics, addresses)]
    if pushgateway:
        target = {"targets": [pushgateway]}
        # Pushed series have their own labels for environment and suite.
        jobs.append({"job_name": "pushed", "honor_labels": True, "static_configs": [target]})
    more: dict[str, Any] = {"rule_files": [RULES_FILE]} if rules else {}
    if alertmanager:
        more["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return _config(metrics.interval_s, jobs, more)


def _federation(metrics: Metrics, addresses: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "job_name": "hosts",
        "scheme": "https",
        "metrics_path": "/federate",
        "params": {"match[]": [f'{{job=~"{"|".join(HOST_JOBS)}"}}']},
        "honor_labels": True,
        "track_timestamps_staleness": True,
        "tls_config": {"ca_file": f"{CONFIG_FOLDER}/ca.crt"},
        "basic_auth": {
            "username": metrics.user,
            "password_file": f"{CONFIG_FOLDER}/metrics_password",
        },
        "static_configs": [
            {"targets": [address], "labels": {"host": name}} for name, address in addresses
        ],
    }


def _config(interval_s: int, jobs: list[dict[str, Any]], more: dict[str, Any] | None = None) -> str:
    every = f"{interval_s}s"
    timeout = f"{min(interval_s, 10)}s"
    times = {"scrape_interval": every, "scrape_timeout": timeout, "evaluation_interval": every}
    return _dump({"global": times, "scrape_configs": jobs, **(more or {})})


def _dump(document: Mapping[str, object] | Sequence[object]) -> str:
    return write_yaml(document)
