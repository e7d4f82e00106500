"""The addresses at which users reach a service, which depend on its route and on the edge's URL."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from deploy.core.config import Route

_DEFAULT_PORTS = {"http": 80, "https": 443}


def service_url(edge_url: str, route: Route) -> str:
    """Returns the URL of a service behind an edge: with its own host name, if it is routed by one, and its path."""
    parts = urlsplit(edge_url)
    name = parts.netloc
    if route.host:
        name = route.host + (f":{parts.port}" if parts.port else "")
    path = f"{parts.path.rstrip('/')}{route.path.rstrip('/')}"
    return f"{parts.scheme}://{name}{path}"


def how_to_reach(edge_url: str, route: Route) -> str | None:
    """Returns a command that reaches the service at this edge, None if its URL is enough.

    The edge of a sandbox, or of a host without a name, has an IP address that no name server returns for the service's
    host name.
    """
    parts = urlsplit(edge_url)
    address = parts.hostname or ""
    if not route.host or not _is_address(address):
        return None
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)
    shown = f"[{address}]" if ":" in address else address
    return f"curl --resolve {route.host}:{port}:{shown} {service_url(edge_url, route)}"


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
