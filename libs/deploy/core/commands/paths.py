"""Paths and names on a host."""

from __future__ import annotations

ROOT = "/srv/py-cicd"
NETWORK = "py-cicd"
EDGE_CONF = f"{ROOT}/edge/conf"
ROUTES = f"{EDGE_CONF}/routes.conf"
STATES = f"{ROOT}/edge/states"
TARGETS = f"{ROOT}/metrics/conf/targets"
WATCHDOG_PAUSES = (f"{ROOT}/watchdog.pause", f"{ROOT}/keeper.pause")
"""Either pauses the watchdog; earlier versions read the second one."""

DRAINING_LOCK = f"{ROOT}/draining.lock"


def state_file(name: str) -> str:
    """Returns the file of an edge's state; its name is the SHA-256 of its content."""
    return f"{STATES}/{name}.json"


def service_folder(service: str) -> str:
    """Returns the folder of a service."""
    return f"{ROOT}/services/{service}"


def release_folder(service: str, release: str) -> str:
    """Returns the folder of a release."""
    return f"{service_folder(service)}/releases/{release}"


def hold_file(service: str) -> str:
    """Returns the file with the record of a held candidate."""
    return f"{service_folder(service)}/hold.json"


def draining_file(service: str, release: str) -> str:
    """Returns the file with the record of a release's drain."""
    return f"{service_folder(service)}/draining/{release}.json"


def rollout_logs(service: str) -> str:
    """Returns the folder of a service's rollout logs."""
    return f"{service_folder(service)}/rollouts"


def kept_logs(service: str) -> str:
    """Returns the folder with the logs of a service's removed replicas."""
    return f"{service_folder(service)}/logs"
