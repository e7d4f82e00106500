"""Observes all hosts for `ship status`, including those that don't answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploy.core.config import Environment, Service
from deploy.core.ports import Host
from deploy.core.reports.status import service_status
from deploy.run.hosts.observe import observe_reachable


def status(
    environment: Environment, hosts: Sequence[Host], services: Sequence[Service]
) -> list[dict[str, Any]]:
    """Returns the `services` of `ship status --json`. One round trip to each host."""
    fleet = observe_reachable(hosts)
    # The holder is that of the first locked host.
    lock = next((dict(host.holder) for host in fleet if host.holder is not None), None)
    return [service_status(environment, service, fleet, lock) for service in services]
