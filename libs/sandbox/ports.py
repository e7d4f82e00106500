"""Which port of 127.0.0.1 each part of a sandbox is reached at; chosen once, then kept."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy.errors import ShipError
from sandbox.state import Folder

ADDRESS = "127.0.0.1"
FILE = "ports.json"
LOWEST = 20_000


class PortTakenError(ShipError):
    """A port that a sandbox was given is used by something else now."""


def claim(place: Folder, purposes: Iterable[str]) -> dict[str, int]:
    """Returns a port for each purpose: those given before, free ones for the rest; writes them down.

    A port that was given stays given after its purpose is gone, so that two hosts, then one, then two find
    the same ports again.
    """
    known: dict[str, int] = json.loads(place.read(FILE) or b"{}")
    for purpose in purposes:
        if purpose not in known:
            known[purpose] = _free_port(set(known.values()))
    place.write(FILE, json.dumps(known, indent=2, sort_keys=True).encode() + b"\n")
    return known


def require_free(name: str, ports: Mapping[str, int]) -> None:
    """Raises PortTakenError, naming port and fix, if something listens on one of these ports."""
    for purpose, port in ports.items():
        if not is_free(port):
            raise PortTakenError(
                f"port {port} of {ADDRESS}, which sandbox {name} uses for {purpose}, is taken by another"
                " program; what was made so far stays",
                hint=f"end what listens there (ss -ltnp 'sport = :{port}') and repeat, or take a new"
                f" sandbox with new ports: ./ship down --sandbox {name} && ./ship up --sandbox {name}",
            )


def is_free(port: int) -> bool:
    """Returns whether a server could listen on a port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
        return True


def _free_port(given: set[int]) -> int:
    """Picks a port that no outgoing connection will be given while the sandbox is stopped."""
    highest = _lowest_ephemeral() - 1
    while True:
        port = random.randint(LOWEST, highest)  # noqa: S311  # no secret
        if port not in given and is_free(port):
            return port


def _lowest_ephemeral() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 32_768
