"""Which TCP ports listen in a container, as its host sees it: the command, and the parser of what it prints."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_LISTENING = "0A"
_PRINT = "import sys; [print(open(path).read()) for path in sys.argv[1:]]"
_DNS_OF_THE_ENGINE = "127.0.0.11"


@dataclass(frozen=True, order=True)
class Listener:
    """A TCP port that listens, and on which address."""

    port: int
    address: str

    @property
    def is_private(self) -> bool:
        """Whether nothing outside of the container reaches it."""
        return ipaddress.ip_address(self.address).is_loopback

    def __str__(self) -> str:
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


def list_listeners(pid: int) -> list[str]:
    """Prints the sockets of the network namespace of a process. Fails if the kernel has no IPv6, after IPv4's."""
    return ["cat", f"/proc/{pid}/net/tcp", f"/proc/{pid}/net/tcp6"]


def list_own_listeners() -> list[str]:
    """Prints the same inside of a container. The Python base image has no `cat`."""
    return ["python3", "-c", _PRINT, "/proc/net/tcp", "/proc/net/tcp6"]


def parse_listeners(text: str) -> tuple[Listener, ...]:
    """Returns what listens, without the engine's own name server."""
    return tuple(sorted(set(_listeners(text))))


def _listeners(text: str) -> Iterator[Listener]:
    """Reads lines of /proc/net/tcp: number, local address and port, remote ones, state, and more.

    An address is hexadecimal, in groups of four bytes whose order is that of the CPU (proc_pid_net(5)).
    """
    for line in text.splitlines():
        words = line.split()
        if len(words) < 4 or words[3] != _LISTENING:
            continue
        address, _, port = words[1].partition(":")
        raw = bytes.fromhex(address)
        packed = b"".join(
            struct.pack(">I", *struct.unpack("<I", raw[at : at + 4]))
            for at in range(0, len(raw), 4)
        )
        shown = str(ipaddress.ip_address(packed))
        if shown != _DNS_OF_THE_ENGINE:
            yield Listener(int(port, 16), shown)
