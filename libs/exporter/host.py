"""Measures a host's engine disk, the expiry of its metrics certificate and its last registry login."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from exporter.exposition import Family

_UTC_TIME, _GENERALIZED_TIME, _SEQUENCE = 0x17, 0x18, 0x30


class EngineDocuments(Protocol):
    """The part of the engine's API that is read here."""

    def get(self, path: str) -> Any: ...


def disk(engine: EngineDocuments, root: Path) -> list[Family]:
    """Returns the size and free space of the engine's file system. `root` is where the host's `/` is mounted."""
    size = Family(
        "engine_disk_size_bytes", "gauge", "Size of the file system of the engine's data."
    )
    free = Family("engine_disk_available_bytes", "gauge", "Free space of that file system.")
    info = Family("engine_info", "gauge", "Always 1; the label is the engine's version.")
    details = engine.get("/info")
    data = root / str(details["DockerRootDir"]).lstrip("/")
    stat = os.statvfs(data if data.exists() else root)
    size.add(float(stat.f_frsize * stat.f_blocks))
    free.add(float(stat.f_frsize * stat.f_bavail))
    info.add(1.0, {"version": str(details["ServerVersion"])})
    return [size, free, info]


def disk_use(engine: EngineDocuments) -> list[Family]:
    """Returns what fills the engine's disk. The engine takes seconds to answer."""
    used = Family("engine_disk_used_bytes", "gauge", "Disk space that the engine uses, by kind.")
    sizes: Mapping[str, Any] = engine.get("/system/df?type=image&type=volume&type=container")
    used.add(float(sizes.get("LayersSize") or 0), {"kind": "images"})
    volumes = sizes.get("Volumes") or []
    used.add(
        float(sum(max((volume.get("UsageData") or {}).get("Size", 0), 0) for volume in volumes)),
        {"kind": "volumes"},
    )
    containers = sizes.get("Containers") or []
    used.add(
        float(sum(container.get("SizeRw") or 0 for container in containers)), {"kind": "containers"}
    )
    return [used]


def credentials(certificate: Path, login: Path) -> list[Family]:
    """Returns when this host's metrics certificate ends, and when a registry last accepted its login.

    A metric is missing if its file doesn't exist.
    """
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


def watchdog(problem: Path) -> list[Family]:
    """Returns whether the watchdog can tell what the edge serves; it notes in the file `problem` that it can't."""
    readable = Family(
        "watchdog_routes_readable",
        "gauge",
        "0 while the watchdog leaves all replicas as they are, since the edge's state can't be read, else 1.",
    )
    readable.add(0.0 if problem.exists() else 1.0)
    return [readable]


def not_after(pem: str) -> datetime:
    """Returns the end of validity of the first certificate of a PEM text. Raises ValueError.

    The standard library parses only certificates that it verifies, so this walks the DER to the one field
    (https://www.rfc-editor.org/rfc/rfc5280#section-4.1).
    """
    end = pem.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
    begin = pem.index("-----BEGIN CERTIFICATE-----")
    content = ssl.PEM_cert_to_DER_cert(pem[begin:end])
    fields = _elements(_elements(_elements(content)[0][1])[0][1])
    # An optional version [0], then serial, algorithm, issuer and validity.
    validity = fields[4] if fields[0][0] == 0xA0 else fields[3]
    tag, text = _elements(validity[1])[1]
    date_format = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}[tag]
    return datetime.strptime(text.decode(), date_format).replace(tzinfo=UTC)


def _elements(content: bytes) -> list[tuple[int, bytes]]:
    """Splits DER into (tag, content) pairs."""
    found, at = [], 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(content[at : at + size]), at + size
        found.append((tag, content[at : at + length]))
        at += length
    return found
