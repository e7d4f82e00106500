"""Chooses the ports of 127.0.0.1 at which a sandbox is reached, and keeps them."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from deploy.errors import ShipError
from sandbox.state import Folder

ADDRESS = "127.0.0.1"
LOWEST = 20_000
# Existing sandboxes have this file with these keys.
FILE = "ports.json"
AWS_SERVER = "control plane"
PUSH_PROXY = "pushes"


class PortTakenError(ShipError):
    """Another program listens on a port of the sandbox."""


def claim(folder: Folder, purposes: Iterable[str]) -> dict[str, int]:
    """Claims a port for each purpose that has none yet. Returns all claimed ports, by purpose.

    A port stays claimed when its purpose is gone: a host that is removed and added again gets the same one.
    """
    claimed: dict[str, int] = json.loads(folder.read(FILE) or b"{}")
    for purpose in purposes:
        if purpose not in claimed:
            claimed[purpose] = _free_port(set(claimed.values()))
    folder.write(FILE, json.dumps(claimed, indent=2, sort_keys=True).encode() + b"\n")
    return claimed


def require_free(name: str, ports: Mapping[str, int]) -> None:
    """Raises PortTakenError, with port and fix, if a program listens on one of these ports, given by purpose."""
    for purpose, port in ports.items():
        if not is_free(port):
            raise PortTakenError(
                f"port {port} of {ADDRESS}, which sandbox {name} uses for {purpose}, is taken by another"
                " program; what was created so far stays",
                hint=f"end that program (ss -ltnp 'sport = :{port}') and repeat, or recreate the sandbox"
                f" with new ports: ./ship down --sandbox {name} && ./ship up --sandbox {name}",
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


def _free_port(claimed: set[int]) -> int:
    """Returns a free port below the ephemeral range.

    An outgoing connection could get an ephemeral one while the sandbox is stopped.
    """
    highest = _lowest_ephemeral() - 1
    while True:
        port = random.randint(LOWEST, highest)  # noqa: S311  # not a secret
        if port not in claimed and is_free(port):
            return port


def _lowest_ephemeral() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 32_768
