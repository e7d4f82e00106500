"""Checks between the keys of a configuration file, which no single field can do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from deploy.core.config import STORES, Edge, HostConfig, Metrics, Service


def problems_of_service(said: Mapping[str, Any], *, folder: str) -> Iterator[str]:
    if isinstance(name := said.get("name"), str) and name != folder:
        yield f'name: should be "{folder}", as its folder'
    ports = {"port": Service.port, "metrics_port": Service.metrics_port}
    yield from _shared_ports({key: said.get(key, port) for key, port in ports.items()})
    yield from _boundless(said, "")
    yield from _problems_of_secrets(said, "")


def _problems_of_secrets(said: Mapping[str, Any], where: str) -> Iterator[str]:
    plain = _table(said, "env")
    for name, secret in _table(said, "secrets").items():
        given = secret if isinstance(secret, dict) else {}
        stores = [store for store in STORES if store in given]
        if isinstance(secret, dict) and len(stores) != 1:
            yield f"{where}secrets.{name}: should name one of {', '.join(STORES)}, not {len(stores)}"
        if name in plain and given.get("into") == "env":
            yield f"{where}secrets.{name}: {where}env.{name} is the same variable"


def problems_of_environment(
    said: Mapping[str, Any], *, services: Collection[str] | None
) -> Iterator[str]:
    edge, metrics = _table(said, "edge"), _table(said, "metrics")
    ports = {
        "edge.http_port": edge.get("http_port", Edge.http_port),
        "edge.preview_port": edge.get("preview_port", Edge.preview_port),
    }
    if metrics:
        ports["metrics.port"] = metrics.get("port", Metrics.port)
    yield from _shared_ports(ports)
    listed = said.get("hosts")
    hosts = [host for host in listed if isinstance(host, dict)] if isinstance(listed, list) else []
    names = [host.get("name") for host in hosts]
    yield from (f"hosts: two are named {name}" for name in _twice(names))
    through = said.get("jump")
    reached = [
        (host.get("address"), host.get("port", HostConfig.port), host.get("jump", through))
        for host in hosts
    ]
    yield from (
        f"hosts: two are reached at {where}, port {port}" for where, port, _ in _twice(reached)
    )
    for name in _table(said, "services"):
        override = _table(_table(said, "services"), name)
        yield from _boundless(override, f"services.{name}.")
        yield from _problems_of_secrets(override, f"services.{name}.")
    from deploy.adapters.config.schema import unknown

    for name in _table(said, "services") if services is not None else ():
        if name not in (services or ()):
            yield f"services.{name}: {unknown(name, services or (), 'service')}"


def _boundless(said: Mapping[str, Any], where: str) -> Iterator[str]:
    listed = _table(said, "gate").get("conditions")
    for number, each in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(each, dict) and not {"at_most", "at_least"} & set(each):
            yield f"{where}gate.conditions[{number}]: needs at_most, at_least or both"


def _shared_ports(ports: Mapping[str, object]) -> Iterator[str]:
    users: dict[int, str] = {}
    for key, port in ports.items():
        if isinstance(port, int) and (user := users.setdefault(port, key)) != key:
            yield f"{key}: {port} is {user} already"


def _table(said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = said.get(key)
    return found if isinstance(found, dict) else {}


def _twice[T](values: Iterable[T]) -> list[T]:
    seen = list(values)
    return [value for at, value in enumerate(seen) if value is not None and seen.index(value) < at]
