"""The engine's disk, the metrics' certificate and the last registry login of a host; it changes none of them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from exporter.exposition import Family

_UTC_TIME, _GENERALIZED_TIME, _SEQUENCE = 0x17, 0x18, 0x30
_USE = {"images": "LayersSize", "build cache": "BuilderSize"}


class Documents(Protocol):
    """What is read of an engine."""

    def get(self, path: str) -> Any: ...


def disk(engine: Documents, root: Path) -> list[Family]:
    """Measures the file system that the engine's data lie on; `root` is where the host's own is mounted."""
    size = Family(
        "engine_disk_size_bytes", "gauge", "Size of the file system of the engine's data."
    )
    free = Family("engine_disk_available_bytes", "gauge", "What is free there for the engine.")
    info = Family("engine_info", "gauge", "Always 1; the label says which engine runs.")
    told = engine.get("/info")
    data = root / str(told["DockerRootDir"]).lstrip("/")
    found = os.statvfs(data if data.exists() else root)
    size.add(float(found.f_frsize * found.f_blocks))
    free.add(float(found.f_frsize * found.f_bavail))
    info.add(1.0, {"version": str(told["ServerVersion"])})
    return [size, free, info]


def use(engine: Documents) -> list[Family]:
    """Asks what fills the engine's disk, which takes it seconds."""
    used = Family("engine_disk_used_bytes", "gauge", "What the engine holds, by kind.")
    told: Mapping[str, Any] = engine.get("/system/df?type=image&type=volume&type=container")
    used.add(float(told.get("LayersSize") or 0), {"kind": "images"})
    volumes = told.get("Volumes") or []
    used.add(
        float(sum(max((each.get("UsageData") or {}).get("Size", 0), 0) for each in volumes)),
        {"kind": "volumes"},
    )
    containers = told.get("Containers") or []
    used.add(float(sum(each.get("SizeRw") or 0 for each in containers)), {"kind": "containers"})
    return [used]


def credentials(certificate: Path, login: Path) -> list[Family]:
    """Tells when the certificate of this host's metrics ends, and when a registry last let this host in."""
    expiry = Family(
        "host_certificate_expiry_timestamp_seconds", "gauge", "When a certificate ends, Unix time."
    )
    if certificate.exists():
        expiry.add(not_after(certificate.read_text()).timestamp(), {"certificate": "metrics"})
    last = Family(
        "host_registry_login_timestamp_seconds",
        "gauge",
        "When a registry last accepted this host's login, Unix time.",
    )
    if login.exists():
        last.add(login.stat().st_mtime)
    return [expiry, last]


def not_after(pem: str) -> datetime:
    """Reads the end of the first certificate of a PEM text. Raises ValueError.

    The standard library reads no certificate that it doesn't verify: this walks the DER to the one field
    (https://www.rfc-editor.org/rfc/rfc5280#section-4.1).
    """
    end = pem.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
    begun = pem.index("-----BEGIN CERTIFICATE-----")
    content = ssl.PEM_cert_to_DER_cert(pem[begun:end])
    fields = _parts(_parts(_parts(content)[0][1])[0][1])
    # version [0] is there in each certificate of today, then serial, algorithm, issuer, validity.
    validity = fields[4] if fields[0][0] == 0xA0 else fields[3]
    kind, text = _parts(validity[1])[1]
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}[kind]
    return datetime.strptime(text.decode(), form).replace(tzinfo=UTC)


def _parts(content: bytes) -> list[tuple[int, bytes]]:
    """Splits DER into (tag, content)."""
    found, at = [], 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(content[at : at + size]), at + size
        found.append((tag, content[at : at + length]))
        at += length
    return found
