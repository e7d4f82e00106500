"""Renders image configurations and archives as bytes that depend on content alone.

https://github.com/opencontainers/image-spec/blob/main/config.md
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any


@dataclass(frozen=True)
class Stamp:
    """The last commit that changed an image's inputs: its revision and its time in seconds since 1970."""

    revision: str
    epoch: int

    @property
    def created(self) -> str:
        """The time in RFC 3339, the form of the OCI labels."""
        return rfc3339(self.epoch)


# Without a history images are reproducible all the same. The time is the first that a zip archive can hold.
UNKNOWN = Stamp("unknown", 315532800)


@dataclass(frozen=True)
class BuiltImage:
    """An image in this machine's engine; `id` is the `sha256:...` of its configuration."""

    service: str
    id: str
    reference: str
    size_bytes: int
    revision: str

    @property
    def tag(self) -> str:
        """The tag of this image in a registry."""
        return short_id(self.id)


def short_id(image_id: str) -> str:
    """Returns the first twelve hex digits of an id."""
    return image_id.removeprefix("sha256:")[:12]


def rfc3339(epoch: int) -> str:
    """Returns seconds since 1970 as a UTC time in RFC 3339."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pulled_bytes(manifest: bytes) -> int:
    """Returns the total size of a manifest's layers and configuration, 0 if it isn't an image manifest."""
    try:
        document = json.loads(manifest)
        parts = [*document.get("layers", ()), document.get("config", {})]
        return sum(int(part.get("size", 0)) for part in parts)
    except (ValueError, AttributeError, TypeError):
        return 0


def image_for_linux(index: bytes, architecture: str = "amd64") -> str | None:
    """Returns the digest of the Linux image in an index of several platforms, None if it has none or isn't an index.

    https://github.com/opencontainers/image-spec/blob/main/image-index.md
    """
    try:
        for manifest in json.loads(index).get("manifests", ()):
            platform = manifest.get("platform", {})
            if (platform.get("os"), platform.get("architecture")) == ("linux", architecture):
                return str(manifest["digest"])
    except (ValueError, AttributeError, TypeError, KeyError):
        pass
    return None


def digest_of(content: bytes) -> str:
    """Returns the `sha256:...` digest of content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


# The keys that decide how a container is started. The others depend on the builder's machine and the time of the
# build (container, container_config, docker_version, Hostname, Image, OnBuild, ...).
RUNTIME_KEYS = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "Shell",
)


def labels_of(stamp: Stamp, *, title: str, source: str = "") -> dict[str, str]:
    """Returns the OCI labels of an image: title, revision, time, version, source.

    https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    values = {
        "title": title,
        "revision": stamp.revision,
        "created": stamp.created,
        "version": f"{stamp.created[:10].replace('-', '.')}-{stamp.revision[:7]}",
        "source": source,
    }
    return {f"org.opencontainers.image.{key}": value for key, value in values.items() if value}


def normalised_config(raw: bytes, *, created: str, labels: Mapping[str, str]) -> bytes:
    """Rewrites an image's configuration so that equal content gives equal bytes.

    Keeps the layers and `RUNTIME_KEYS`, sets `created` and the labels, and replaces the history by one entry per layer.
    """
    document: dict[str, Any] = json.loads(raw)
    config = dict(document.get("config") or {})
    config["Labels"] = {**(config.get("Labels") or {}), **labels}
    started = {
        key: value for key in RUNTIME_KEYS if (value := config.get(key)) not in (None, "", [], {})
    }
    return config_bytes(
        started,
        document["rootfs"]["diff_ids"],
        created=created,
        architecture=document["architecture"],
    )


def config_bytes(
    started: Mapping[str, Any],
    diff_ids: Sequence[str],
    *,
    created: str,
    architecture: str = "amd64",
) -> bytes:
    """Renders an image configuration: keys sorted, no white space."""
    document = {
        "architecture": architecture,
        "config": dict(started),
        "created": created,
        "history": [{"created": created, "created_by": "py-cicd"} for _ in diff_ids],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def started_with(config: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """Translates a recipe's `[config]` into an image configuration's `config`."""
    values = {
        "User": config.get("user"),
        "Env": [f"{name}={value}" for name, value in sorted(config.get("env", {}).items())],
        "Entrypoint": config.get("entrypoint"),
        "Cmd": config.get("cmd"),
        "WorkingDir": config.get("workdir", "/"),
        "StopSignal": config.get("stop_signal"),
        "Labels": dict(labels),
    }
    return {key: value for key, value in values.items() if value}


@dataclass(frozen=True)
class ArchivedLayer:
    """A layer's uncompressed tar: its digest, size and content.

    Without content the archive only names the layer, which is enough for an engine that has it.
    """

    diff_id: str
    size: int = 0
    content: IO[bytes] | None = None


def write_archive(
    config: bytes, layers: Sequence[ArchivedLayer], reference: str, target: IO[bytes]
) -> None:
    """Writes an archive for `docker load`: a configuration, the layers and the image's name."""
    config_name = f"{digest_of(config).removeprefix('sha256:')}.json"
    names = [f"{layer.diff_id.removeprefix('sha256:')}/layer.tar" for layer in layers]
    manifest = json.dumps(
        [{"Config": config_name, "RepoTags": [reference], "Layers": names}]
    ).encode()
    with tarfile.open(
        fileobj=target, mode="w|", format=tarfile.GNU_FORMAT, bufsize=1 << 20
    ) as archive:
        for name, content in ((config_name, config), ("manifest.json", manifest)):
            archive.addfile(_member(name, len(content)), io.BytesIO(content))
        written: set[str] = set()
        for name, layer in zip(names, layers, strict=True):
            if layer.content is not None and name not in written:
                archive.addfile(_member(name, layer.size), layer.content)
                written.add(name)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member
