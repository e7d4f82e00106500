"""Makes SSH keys and known_hosts files."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def make_key() -> bytes:
    """Returns a new private Ed25519 key in OpenSSH's format."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def public_line(private: bytes) -> str:
    """Returns the public key of a private one, as `ssh-ed25519 AAAA...`."""
    key = serialization.load_ssh_private_key(private, password=None)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def known_hosts(hosts: Iterable[tuple[str, int, str]]) -> str:
    """Renders a known_hosts file from (address, port, public line) of each host."""
    return "".join(f"{_host_pattern(address, port)} {line}\n" for address, port, line in hosts)


def _host_pattern(address: str, port: int) -> str:
    return address if port == 22 else f"[{address}]:{port}"
