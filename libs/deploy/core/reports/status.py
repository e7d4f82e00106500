"""Describes how a service runs on all hosts, as `ship status --json` prints it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from deploy.core.addresses import how_to_reach, service_url
from deploy.core.config import Environment, HostConfig, Service
from deploy.core.state.drift import drift, mixed, phase
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import Container, HostState

NAMED_HOSTS = 4
"""A summary counts the hosts of a larger group instead of naming them."""


def service_status(
    environment: Environment, service: Service, fleet: FleetState, lock: dict[str, str] | None
) -> dict[str, Any]:
    """Returns an element of `services`. `fleet` has the environment's hosts in its order; `lock` says who holds it."""
    pairs = list(zip(environment.hosts, fleet, strict=True))
    problems = [
        *mixed(service, fleet),
        *(problem for host in fleet for problem in drift(service, host)),
    ]
    if lock:
        # What an operation that is still running has to do is no reason to start another one.
        wait = f"wait until {lock.get('who', 'its holder')} is done, then ./ship status"
        problems = [replace(problem, command=wait) for problem in problems]
    hosts = [_host(config, service, host) for config, host in pairs]
    # A host that can't be observed says nothing about what it serves.
    live = {host.edge.live(service.name) for host in fleet if not host.problem}
    release = next(iter(live)) if len(live) == 1 else None
    record = fleet.release(service.name, release) if release else None
    routes = [route for host in fleet if (route := host.edge.route(service.name))]
    candidates = sorted({route.candidate for route in routes if route.candidate})
    return {
        "name": service.name,
        "summary": summary(service, fleet),
        "release": release or None,
        "revision": record.revision if record else None,
        "image": record.image if record else None,
        "config_hash": record.config_hash if record else None,
        "replicas": {
            "wanted": sum(host["wanted"] for host in hosts),
            "ready": sum(host["ready"] for host in hosts),
        },
        "url": service_url(environment.hosts[0].url, service.route),
        "reach": how_to_reach(environment.hosts[0].url, service.route),
        "candidate": next(iter(candidates), None),
        "drift": [problem.text for problem in problems],
        "problems": [asdict(problem) for problem in problems],
        "draining": [each for host in fleet for each in _draining(service, host)],
        "lock": lock,
        "hosts": hosts,
    }


def summary(service: Service, fleet: FleetState) -> str:
    """Returns in one line which hosts serve what.

    Such as `r000002-3f9c2ab live on web-1; web-2 unreachable (the login was refused)`.
    """
    serving: dict[str | None, list[str]] = {}
    for host in fleet:
        if not host.problem:
            serving.setdefault(host.edge.live(service.name), []).append(host.host)
    parts = [f"{release or 'nothing'} live on {_list(names)}" for release, names in serving.items()]
    parts += [
        f"{host.host} {'damaged' if host.damage else 'unreachable'} ({host.problem.removeprefix(f'{host.host}: ')})"
        for host in fleet
        if host.problem
    ]
    return "; ".join(parts)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED_HOSTS else f"{len(names)} hosts"


def _host(config: HostConfig, service: Service, host: HostState) -> dict[str, Any]:
    live = host.edge.live(service.name)
    record = host.live(service.name)
    route = host.edge.route(service.name)
    replicas = host.replicas(service.name, live)
    port = record.port if record else service.port
    return {
        "name": config.name,
        "phase": phase(service, host),
        "release": live or None,
        "wanted": record.replicas if record else service.replicas,
        "ready": sum(replica.ready for replica in replicas),
        "url": service_url(config.url, service.route),
        "reach": how_to_reach(config.url, service.route),
        "maintenance": bool(route and route.maintenance),
        "problem": host.problem,
        "remedy": host.remedy,
        "replicas": [_replica(replica, port) for replica in replicas],
    }


def _draining(service: Service, host: HostState) -> list[dict[str, Any]]:
    return [
        {
            "host": host.host,
            "release": drain.release,
            "replicas": len(drain.replicas),
            "ends_in_s": round(drain.deadline_s - host.now_s, 1),
        }
        for drain in host.draining
        if drain.service == service.name
    ]


def _replica(container: Container, port: int) -> dict[str, Any]:
    return {
        "id": container.id,
        "name": container.name,
        "address": f"{container.address}:{port}" if container.address else None,
        "health": container.condition,
        "release": container.release,
    }
