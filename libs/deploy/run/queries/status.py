"""Tells what runs where, wanted against seen; never changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deploy.core.config import Environment, HostConfig, Service
from deploy.core.ports import Host
from deploy.core.state.drift import drift, mixed, phase
from deploy.core.state.fleet import FleetState
from deploy.core.state.host import Container, HostState
from deploy.errors import ShipError
from deploy.run.hosts.locking import holder_of
from deploy.run.hosts.observe import observe_what_answers


def status(
    environment: Environment, hosts: Sequence[Host], services: Sequence[Service]
) -> list[dict[str, Any]]:
    """Returns the `services` of `ship status --json`."""
    seen = observe_what_answers(hosts)
    lock = _lock(hosts, seen)
    return [_service(environment, service, seen, lock) for service in services]


def _lock(hosts: Sequence[Host], seen: FleetState) -> dict[str, str] | None:
    answering = [host for host, each in zip(hosts, seen, strict=True) if not each.problem]
    with ThreadPoolExecutor(max_workers=16) as pool:
        return next((found for found in pool.map(_holder, answering) if found is not None), None)


def _holder(host: Host) -> dict[str, str] | None:
    try:
        return holder_of(host)
    except ShipError:
        return None


def _service(
    environment: Environment,
    service: Service,
    seen: FleetState,
    lock: dict[str, str] | None,
) -> dict[str, Any]:
    pairs = list(zip(environment.hosts, seen, strict=True))
    hosts = [_host(config, service, each) for config, each in pairs]
    live = {each.edge.live(service.name) for each in seen}
    release = next(iter(live)) if len(live) == 1 else ""
    record = next((r for each in seen if (r := each.release(service.name, release))), None)
    candidates = {
        route.candidate
        for each in seen
        if (route := each.edge.route(service.name)) and route.candidate
    }
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
        "candidate": next(iter(sorted(candidates)), None),
        "drift": [
            *mixed(service, FleetState(tuple(each for _, each in pairs))),
            *(line for _, each in pairs for line in drift(service, each)),
        ],
        "lock": lock,
        "hosts": hosts,
    }


def _host(config: HostConfig, service: Service, seen: HostState) -> dict[str, Any]:
    live = seen.edge.live(service.name)
    record = seen.live(service.name)
    replicas = seen.replicas(service.name, live)
    return {
        "name": config.name,
        "phase": phase(service, seen),
        "release": live or None,
        "wanted": record.replicas if record else service.replicas,
        "ready": sum(each.ready for each in replicas),
        "url": config.url,
        "maintenance": bool((route := seen.edge.route(service.name)) and route.maintenance),
        "problem": seen.problem or None,
        "replicas": [_replica(each, record.port if record else service.port) for each in replicas],
    }


def _replica(container: Container, port: int) -> dict[str, Any]:
    return {
        "id": container.id,
        "name": container.name,
        "address": f"{container.address}:{port}" if container.address else None,
        "health": container.condition,
        "release": container.release,
    }
