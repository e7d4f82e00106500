"""Describes how a service runs on all hosts, as `ship status --json` prints it."""

from __future__ import annotations

from typing import Any

from deploy.core.config import Environment, HostConfig, Service
from deploy.core.state.drift import drift, mixed, phase
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import Container, HostState


def service_status(
    environment: Environment, service: Service, fleet: FleetState, lock: dict[str, str] | None
) -> dict[str, Any]:
    """Returns an element of `services`. `fleet` has the environment's hosts in its order; `lock` says who holds it."""
    pairs = list(zip(environment.hosts, fleet, strict=True))
    hosts = [_host(config, service, host) for config, host in pairs]
    live = {host.edge.live(service.name) for host in fleet}
    release = next(iter(live)) if len(live) == 1 else None
    record = fleet.release(service.name, release) if release else None
    routes = [route for host in fleet if (route := host.edge.route(service.name))]
    candidates = sorted({route.candidate for route in routes if route.candidate})
    return {
        "name": service.name,
        "release": release or None,
        "revision": record.revision if record else None,
        "image": record.image if record else None,
        "config_hash": record.config_hash if record else None,
        "replicas": {
            "wanted": sum(host["wanted"] for host in hosts),
            "ready": sum(host["ready"] for host in hosts),
        },
        "url": environment.hosts[0].url,
        "candidate": next(iter(candidates), None),
        "drift": [
            *mixed(service, fleet),
            *(line for host in fleet for line in drift(service, host)),
        ],
        "draining": [each for host in fleet for each in _draining(service, host)],
        "lock": lock,
        "hosts": hosts,
    }


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
        "url": config.url,
        "maintenance": bool(route and route.maintenance),
        "problem": host.problem or None,
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
