"""The containers of a host as the engine lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NETWORK = "py-cicd"


@dataclass(frozen=True)
class Container:
    """A container. `state` is as in `docker ps`; `unhealthy` and `starting` are results of its own health check.

    `address` is its fixed address on the replicas' network, whether it runs or not; "" without one.
    """

    id: str
    name: str
    labels: dict[str, str]
    state: str
    unhealthy: bool
    created: int
    starting: bool = False
    address: str = ""

    @classmethod
    def of(cls, listed: dict[str, Any]) -> Container:
        """Returns the container of one element of the engine's list."""
        return cls(
            id=listed["Id"],
            name=(listed.get("Names") or ["/?"])[0].lstrip("/"),
            labels=listed.get("Labels") or {},
            state=listed["State"],
            unhealthy="(unhealthy)" in listed.get("Status", ""),
            created=int(listed.get("Created", 0)),
            starting="(health: starting)" in listed.get("Status", ""),
            address=_address(listed.get("NetworkSettings") or {}),
        )


def _address(settings: dict[str, Any]) -> str:
    network = (settings.get("Networks") or {}).get(NETWORK) or {}
    return str((network.get("IPAMConfig") or {}).get("IPv4Address", ""))
