"""Where everything lies on a host."""

from __future__ import annotations

ROOT = "/srv/py-cicd"


NETWORK = "py-cicd"


EDGE_CONF = f"{ROOT}/edge/conf"


ROUTES = f"{EDGE_CONF}/routes.conf"


TARGETS = f"{ROOT}/metrics/conf/targets"


def chronicles(service: str) -> str:
    """Names the folder of a service's chronicles on a host."""
    return f"{ROOT}/services/{service}/rollouts"


def release_folder(service: str, release: str) -> str:
    """Names the folder of a release on a host."""
    return f"{service_folder(service)}/releases/{release}"


def hold_file(service: str) -> str:
    """Names the record of a held candidate on a host."""
    return f"{service_folder(service)}/hold.json"


def service_folder(service: str) -> str:
    """Names the folder of a service on a host."""
    return f"{ROOT}/services/{service}"
