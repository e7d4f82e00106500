"""Makes the secrets and certificates of a sandbox, once, in its folder.

Each file depends only on files written before it, and is written atomically: the next run completes one that was
interrupted. Secrets are neither printed nor passed as arguments.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bcrypt

from deploy.errors import UsageError
from sandbox import ca, sshkeys
from sandbox.ports import ADDRESS
from sandbox.state import Folder

# moto's account. Its registry token is a constant, so the registry's password is not secret (docs/adr/0003).
ACCOUNT = "123456789012"
REGION = "us-east-1"
REGISTRY_NAME = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
REGISTRY_USER = "AWS"
REGISTRY_PASSWORD = f"{ACCOUNT}-auth-token"
METRICS_USER = "prometheus"
MAX_HOSTS = 16

_AWS = b"[default]\naws_access_key_id = sandbox\naws_secret_access_key = sandbox\n"


@dataclass(frozen=True)
class Credentials:
    """What the containers of a sandbox authenticate with, as PEM or OpenSSH bytes."""

    ca_certificate: bytes
    registry_certificate: bytes
    registry_key: bytes
    htpasswd: bytes
    metrics_password: bytes
    deploy_key: bytes

    def __repr__(self) -> str:
        return "Credentials(***)"


def host_names(count: int) -> tuple[str, ...]:
    """Returns the names of a sandbox's hosts. Raises UsageError for an impossible number."""
    if not 1 <= count <= MAX_HOSTS:
        raise UsageError(
            f"a sandbox has 1 to {MAX_HOSTS} hosts, not {count}", hint="./ship up --hosts 2"
        )
    return tuple(f"host-{number}" for number in range(1, count + 1))


def ensure(folder: Folder) -> Credentials:
    """Returns a sandbox's credentials and makes those that are missing in its folder."""
    ca_key = _once(folder, "ca.key", ca.make_key)
    ca_certificate = _once(
        folder,
        "ca.crt",
        lambda: ca.make_ca(ca_key, f"py-cicd sandbox {folder.name}"),
        mode=0o644,
    )
    signer = (ca_certificate, ca_key)
    registry_key = _once(folder, "registry.key", ca.make_key)
    metrics_key = _once(folder, "metrics.key", ca.make_key)
    # The certificate covers the most hosts there can be, so a further host doesn't change the existing ones.
    _signed(folder, "metrics.crt", signer, metrics_key, host_names(MAX_HOSTS))
    names = (REGISTRY_NAME, "localhost", ADDRESS)
    folder.write("aws_credentials", _AWS, mode=0o600)
    return Credentials(
        ca_certificate=ca_certificate,
        registry_certificate=_signed(folder, "registry.crt", signer, registry_key, names),
        registry_key=registry_key,
        htpasswd=_once(folder, "htpasswd", _htpasswd),
        metrics_password=_once(folder, "metrics_password", lambda: secrets.token_hex(24).encode()),
        deploy_key=_once(folder, "deploy_key", sshkeys.make_key),
    )


def ensure_host_key(folder: Folder, host: str) -> bytes:
    """Returns a host's private SSH key, which is made at the first call."""
    return _once(folder, f"{host}_ssh_key", sshkeys.make_key)


def _htpasswd() -> bytes:
    # The fewest rounds bcrypt allows: every request costs them, and the password is public anyway.
    hashed = bcrypt.hashpw(REGISTRY_PASSWORD.encode(), bcrypt.gensalt(4))
    return REGISTRY_USER.encode() + b":" + hashed + b"\n"


def _once(folder: Folder, name: str, make: Callable[[], bytes], *, mode: int = 0o600) -> bytes:
    content = folder.read(name)
    return content if content is not None else folder.write(name, make(), mode=mode)


def _signed(
    folder: Folder, name: str, signer: tuple[bytes, bytes], key: bytes, names: Sequence[str]
) -> bytes:
    ca_certificate, ca_key = signer
    certificate = folder.read(name)
    if certificate is not None and ca.is_valid(certificate, key, ca_certificate, names):
        return certificate
    return folder.write(name, ca.make_certificate(ca_certificate, ca_key, key, names))
