"""All secrets and certificates of a sandbox, made once in its folder; never shown, never in argv.

Every file is derived from those before it and written whole, so a run that was cut short is finished by the
next one and nothing ever belongs to two generations.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bcrypt

from sandbox import ca, sshkeys
from sandbox.ports import ADDRESS
from sandbox.state import Folder

# moto answers for this account, and its token for it is a constant: a secret only in form (docs/adr/0003).
ACCOUNT = "123456789012"
REGION = "us-east-1"
REGISTRY_NAME = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
REGISTRY_USER = "AWS"
REGISTRY_PASSWORD = f"{ACCOUNT}-auth-token"
METRICS_USER = "prometheus"
MOST_HOSTS = 16

_AWS = b"[default]\naws_access_key_id = sandbox\naws_secret_access_key = sandbox\n"


@dataclass(frozen=True)
class Identity:
    """What the parts of a sandbox know each other by; PEM and OpenSSH bytes."""

    authority: bytes
    registry_certificate: bytes
    registry_key: bytes
    htpasswd: bytes
    metrics_password: bytes
    deploy_key: bytes

    def __repr__(self) -> str:
        return "Identity(***)"


def host_names(count: int) -> tuple[str, ...]:
    """Names the hosts of a sandbox."""
    return tuple(f"host-{number}" for number in range(1, count + 1))


def ensure(place: Folder) -> Identity:
    """Makes what a sandbox's folder lacks of its identity and returns it."""
    authority_key = _once(place, "ca.key", ca.make_key)
    certificate = _once(
        place,
        "ca.crt",
        lambda: ca.make_authority(authority_key, f"py-cicd sandbox {place.name}"),
        mode=0o644,
    )
    signer = (certificate, authority_key)
    registry_key = _once(place, "registry.key", ca.make_key)
    metrics_key = _once(place, "metrics.key", ca.make_key)
    # All names a host could ever bear at once: another host then needs no new certificate on the others.
    _signed(place, "metrics.crt", signer, metrics_key, host_names(MOST_HOSTS))
    names = (REGISTRY_NAME, "localhost", ADDRESS)
    place.write("aws_credentials", _AWS, mode=0o600)
    return Identity(
        authority=certificate,
        registry_certificate=_signed(place, "registry.crt", signer, registry_key, names),
        registry_key=registry_key,
        htpasswd=_once(place, "htpasswd", _htpasswd),
        metrics_password=_once(place, "metrics_password", lambda: secrets.token_hex(24).encode()),
        deploy_key=_once(place, "deploy_key", sshkeys.make_key),
    )


def ensure_host_key(place: Folder, host: str) -> bytes:
    """Makes a host's private SSH key if there is none yet and returns it."""
    return _once(place, f"{host}_ssh_key", sshkeys.make_key)


def _htpasswd() -> bytes:
    # The fewest rounds that there are: the password is in this repository, and each request pays for them.
    hashed = bcrypt.hashpw(REGISTRY_PASSWORD.encode(), bcrypt.gensalt(4))
    return REGISTRY_USER.encode() + b":" + hashed + b"\n"


def _once(place: Folder, name: str, make: Callable[[], bytes], *, mode: int = 0o600) -> bytes:
    found = place.read(name)
    return found if found is not None else place.write(name, make(), mode=mode)


def _signed(
    place: Folder, name: str, signer: tuple[bytes, bytes], key: bytes, names: Sequence[str]
) -> bytes:
    certificate, authority_key = signer
    found = place.read(name)
    if found is not None and ca.still_good(found, key, certificate, names):
        return found
    return place.write(name, ca.make_certificate(certificate, authority_key, key, names))
