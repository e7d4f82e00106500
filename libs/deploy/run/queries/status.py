"""Observes all hosts for `ship status`, including those that don't answer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deploy.core.config import Environment, Service
from deploy.core.ports import Host
from deploy.core.reports.status import service_status
from deploy.core.state.fleet import FleetState
from deploy.errors import ShipError
from deploy.run.hosts.fanout import MOST_HOSTS
from deploy.run.hosts.locking import holder_of
from deploy.run.hosts.observe import observe_what_answers


def status(
    environment: Environment, hosts: Sequence[Host], services: Sequence[Service]
) -> list[dict[str, Any]]:
    """Returns the `services` of `ship status --json`."""
    fleet = observe_what_answers(hosts)
    lock = _lock(hosts, fleet)
    return [service_status(environment, service, fleet, lock) for service in services]


def _lock(hosts: Sequence[Host], fleet: FleetState) -> dict[str, str] | None:
    """Returns who holds the lock, from the first host that says so."""
    answering = [host for host, state in zip(hosts, fleet, strict=True) if not state.problem]
    with ThreadPoolExecutor(max_workers=MOST_HOSTS) as pool:
        holders = list(pool.map(_holder, answering))
    return next((holder for holder in holders if holder is not None), None)


def _holder(host: Host) -> dict[str, str] | None:
    try:
        return holder_of(host)
    except ShipError:
        return None
