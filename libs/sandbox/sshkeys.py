"""SSH keys and the lines that pin them, as bytes; never asks a host for its key."""

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
    """Makes a private Ed25519 key in OpenSSH's format."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def public_line(private: bytes) -> str:
    """Returns the public half of a key as `ssh-ed25519 AAAA...`."""
    key = serialization.load_ssh_private_key(private, password=None)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def known_hosts(hosts: Iterable[tuple[str, int, str]]) -> str:
    """Writes a known_hosts file from (address, port, public line) of each host."""
    return "".join(f"{_where(address, port)} {line}\n" for address, port, line in hosts)


def _where(address: str, port: int) -> str:
    return address if port == 22 else f"[{address}]:{port}"
