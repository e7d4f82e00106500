"""What the Prometheus of a host and of an environment are told, as text; never starts or asks one.

Each host's Prometheus scrapes its own replicas by name on Docker's network; the environment's collects from the
hosts over TLS with a password. The texts are JSON, which is YAML: no value can be misread.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from deploy.core.config import Environment, Metrics
from deploy.core.releases import Release

CONFIG_FOLDER = "/etc/prometheus"
# No folder of the image's: the volume then is root's, as whom Prometheus runs here (see render_compose).
DATA_FOLDER = "/var/lib/metrics"
PROJECT = "py-cicd-metrics"
CONTAINER = "metrics"

HOST_RETENTION = ("2h", "256MB")
ENVIRONMENT_RETENTION = ("15d", "2GB")


def prometheus_flags(
    retention: tuple[str, str], *, port: int, web_config: str = ""
) -> tuple[str, ...]:
    """Returns Prometheus' flags; `retention` is (time, size), whichever comes first.

    https://prometheus.io/docs/prometheus/latest/storage/#operational-aspects
    """
    kept_for, kept_size = retention
    flags = (
        f"--config.file={CONFIG_FOLDER}/prometheus.yml",
        f"--storage.tsdb.path={DATA_FOLDER}",
        f"--storage.tsdb.retention.time={kept_for}",
        f"--storage.tsdb.retention.size={kept_size}",
        f"--web.listen-address=:{port}",
    )
    return (*flags, f"--web.config.file={web_config}") if web_config else flags


def render_compose(image: str, *, port: int, key: str) -> str:
    """Writes the compose file of a host's Prometheus, in the folder above `conf/`.

    `image` is `name@sha256:...`, `port` is published on the host, `key` names this state of it. It runs as
    root with no capability but the one to read what others own: TLS key and password hash are the deploy
    user's, 0600, and that user's number differs from host to host.
    """
    web_config = f"{CONFIG_FOLDER}/web.yml"
    service = {
        "image": image,
        "container_name": CONTAINER,
        "user": "0:0",
        "init": True,
        "read_only": True,
        "cap_drop": ["ALL"],
        "cap_add": ["DAC_OVERRIDE"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "always",
        "logging": {"driver": "local", "options": {"max-size": "10m", "max-file": "3"}},
        "entrypoint": ["prometheus"],
        "command": list(prometheus_flags(HOST_RETENTION, port=port, web_config=web_config)),
        "volumes": [f"./conf:{CONFIG_FOLDER}:ro", f"data:{DATA_FOLDER}"],
        "ports": [f"{port}:{port}"],
        "networks": ["edge"],
        "labels": {"py-cicd.name": CONTAINER, "py-cicd.key": key},
    }
    return _dump(
        {
            "name": PROJECT,
            "services": {CONTAINER: service},
            "volumes": {"data": {}},
            "networks": {"edge": {"name": "py-cicd", "external": True}},
        }
    ).replace("$", "$$")


def render_prometheus(*, interval_s: int) -> str:
    """Writes a host's prometheus.yml: every replica that the target files name."""
    discovery = {"files": [f"{CONFIG_FOLDER}/targets/*.json"], "refresh_interval": "5s"}
    return _config(interval_s, [{"job_name": "replicas", "file_sd_configs": [discovery]}])


def render_web(user: str, password_hash: str) -> str:
    """Writes a host's web.yml: TLS and one user; `password_hash` is bcrypt's.

    https://prometheus.io/docs/prometheus/latest/configuration/https/
    """
    tls = {"cert_file": "tls.crt", "key_file": "tls.key", "min_version": "TLS12"}
    return _dump({"tls_server_config": tls, "basic_auth_users": {user: password_hash}})


def render_targets(host: str, releases: Iterable[tuple[Release, str]]) -> str:
    """Writes targets/SERVICE.json: each replica by itself, from (release, its track) pairs."""
    return _dump(
        [
            {
                "targets": [f"{replica}:{release.metrics_port}"],
                "labels": {
                    "service": release.service,
                    "release": release.id,
                    "replica": replica,
                    "host": host,
                    "track": track,
                },
            }
            for release, track in releases
            for replica in release.names
        ]
    )


def targets_digest(host: str, releases: Iterable[tuple[Release, str]]) -> str:
    """Returns the SHA-256 of what `render_targets` writes."""
    return hashlib.sha256(render_targets(host, releases).encode()).hexdigest()


def render_environment(environment: Environment) -> str:
    """Writes the environment's prometheus.yml, with its CA and password beside it in CONFIG_FOLDER.

    Series keep the labels that the host gave. Their times are the host's; a series that the host no longer
    has ends at once all the same, so that a replica that is gone is not counted for five minutes more.
    """
    metrics = environment.metrics
    if metrics is None:
        raise ValueError(f"environment {environment.name} has no [metrics]")
    addresses = [(host.name, host.metrics_address) for host in environment.hosts]
    return _config(metrics.interval_s, [_federation(metrics, addresses)])


def _federation(metrics: Metrics, addresses: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "job_name": "hosts",
        "scheme": "https",
        "metrics_path": "/federate",
        "params": {"match[]": ['{job="replicas"}']},
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


def _config(interval_s: int, jobs: list[dict[str, Any]]) -> str:
    every = f"{interval_s}s"
    timeout = f"{min(interval_s, 10)}s"
    times = {"scrape_interval": every, "scrape_timeout": timeout, "evaluation_interval": every}
    return _dump({"global": times, "scrape_configs": jobs})


def _dump(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"
