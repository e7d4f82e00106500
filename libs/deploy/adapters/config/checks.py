"""Checks of configuration files that involve more than one key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from deploy.core.config import STORES, Edge, HostConfig, Metrics, Route, Service
from deploy.core.stacks.prometheus import EXPORTER_PORT, NODE_PORT

HOST_PORTS: Mapping[str, object] = {
    "SSH": 22,
    "the tool's exporter": EXPORTER_PORT,
    "the node exporter": NODE_PORT,
}
"""Ports of a host that are taken on its loopback or outside."""

# The documents are the parsed files before validation, so any value may have any type.


def problems_of_service(document: Mapping[str, Any], *, folder: str) -> Iterator[str]:
    """Yields the problems of a service file in services/`folder`."""
    if isinstance(name := document.get("name"), str) and name != folder:
        yield f'name: should be "{folder}", like its folder'
    ports = {"port": Service.port, "metrics_port": Service.metrics_port}
    yield from _shared_ports({key: document.get(key, port) for key, port in ports.items()})
    yield from _unbounded_conditions(document, "")
    yield from _problems_of_secrets(document, "")


def problems_of_environment(
    document: Mapping[str, Any], *, services: Collection[str] | None
) -> Iterator[str]:
    """Yields the problems of an environment file. If `services` are given, an override of any other is one."""
    edge, metrics = _table(document, "edge"), _table(document, "metrics")
    ports: dict[str, object] = {
        **HOST_PORTS,
        "edge.http_port": edge.get("http_port", Edge.http_port),
        "edge.preview_port": edge.get("preview_port", Edge.preview_port),
    }
    if metrics:
        ports["metrics.port"] = metrics.get("port", Metrics.port)
    yield from _shared_ports(ports)
    listed = document.get("hosts")
    hosts = [host for host in listed if isinstance(host, dict)] if isinstance(listed, list) else []
    names = [host.get("name") for host in hosts]
    yield from (f"hosts: two hosts are named {name}" for name in _duplicates(names))
    subnet = edge.get("subnet", Edge.subnet)
    for number, host in enumerate(hosts):
        if _is_within(host.get("address"), subnet):
            yield f"edge.subnet: {subnet} contains the address of hosts[{number}], {host['address']}"
    jump = document.get("jump")
    addresses = [
        (host.get("address"), host.get("port", HostConfig.port), host.get("jump", jump))
        for host in hosts
    ]
    yield from (
        f"hosts: two hosts have the address {address}, port {port}"
        for address, port, _ in _duplicates(addresses)
    )
    for name in _table(document, "services"):
        override = _table(_table(document, "services"), name)
        yield from _unbounded_conditions(override, f"services.{name}.")
        yield from _problems_of_secrets(override, f"services.{name}.")
    from deploy.adapters.config.problems import unknown

    for name in _table(document, "services") if services is not None else ():
        if name not in (services or ()):
            yield f"services.{name}: {unknown(name, services or (), 'service')}"


def problems_of_routes(services: Iterable[Service]) -> Iterator[str]:
    """Yields the routes that two services share, as an environment has them."""
    first: dict[Route, str] = {}
    for service in services:
        if (other := first.setdefault(service.route, service.name)) != service.name:
            yield f"services.{service.name}.route: {other} has the same path and host here"


def _is_within(address: object, subnet: object) -> bool:
    try:
        return ip_address(str(address)) in ip_network(str(subnet))
    except ValueError:  # a host name, or a value that the schema refuses
        return False


def _problems_of_secrets(document: Mapping[str, Any], where: str) -> Iterator[str]:
    variables = _table(document, "env")
    for name, secret in _table(document, "secrets").items():
        entry = secret if isinstance(secret, dict) else {}
        stores = [store for store in STORES if store in entry]
        if isinstance(secret, dict) and len(stores) != 1:
            yield f"{where}secrets.{name}: should name one of {', '.join(STORES)}, not {len(stores)}"
        if name in variables and entry.get("into") == "env":
            yield f"{where}secrets.{name}: {where}env.{name} is the same variable"


def _unbounded_conditions(document: Mapping[str, Any], where: str) -> Iterator[str]:
    listed = _table(document, "gate").get("conditions")
    for number, condition in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(condition, dict) and not {"at_most", "at_least"} & set(condition):
            yield f"{where}gate.conditions[{number}]: needs at_most, at_least or both"


def _shared_ports(ports: Mapping[str, object]) -> Iterator[str]:
    users: dict[int, str] = {}
    for key, port in ports.items():
        if isinstance(port, int) and (user := users.setdefault(port, key)) != key:
            yield f"{key}: {user} has the same port, {port}"


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _duplicates[T](values: Iterable[T]) -> list[T]:
    listed = list(values)
    return [
        value for at, value in enumerate(listed) if value is not None and listed.index(value) < at
    ]
