"""Describes the containers of a sandbox as values: image, ports, volumes, files."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

LABEL = "py-cicd.sandbox"
KEY = "py-cicd.key"


@dataclass(frozen=True)
class File:
    """A file that is in a container when it starts, owned by root."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644


@dataclass(frozen=True)
class ContainerSpec:
    """The desired state of one container.

    `ports` are (port inside, port on 127.0.0.1), `volumes` are (name, path inside). `nested` lets it run an engine of
    its own, which makes it as good as root on this machine.
    """

    # The order of the fields and the form of their values enter `key`: a change replaces existing containers.
    name: str
    image: str
    aliases: tuple[str, ...]
    entrypoint: tuple[str, ...]
    ports: tuple[tuple[int, int], ...]
    volumes: tuple[tuple[str, str], ...] = ()
    files: tuple[File, ...] = ()
    hostname: str = ""
    user: str = "0:0"
    nested: bool = False

    @property
    def key(self) -> str:
        """A hash of everything in this spec. A container with another key is replaced."""
        files = [
            (file.path, file.mode, hashlib.sha256(file.content).digest()) for file in self.files
        ]
        settings = [getattr(self, name) for name in self.__dataclass_fields__ if name != "files"]
        return hashlib.sha256(repr((settings, files)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Names:
    """The names of a sandbox's network, containers and volumes in the engine."""

    sandbox: str

    @property
    def network(self) -> str:
        """The network of all its containers."""
        return f"py-cicd-{self.sandbox}"

    def container(self, component: str) -> str:
        """Returns a container's name; a component is for example `host-1` or `registry`."""
        return f"py-cicd-{self.sandbox}-{component}"

    def volume(self, component: str, content: str) -> str:
        """Returns the name of a component's volume."""
        return f"py-cicd-{self.sandbox}-{component}-{content}"


def pack(files: Sequence[File]) -> bytes:
    """Packs files and their folders into a tar archive to unpack at `/`, owned by root.

    The archive has entries for the folders because the engine would make missing ones writable for everybody.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for parent in sorted({str(PurePosixPath(file.path).parent) for file in files}):
            folder = tarfile.TarInfo(parent.lstrip("/"))
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        for file in files:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size = len(file.content)
            entry.mode = file.mode
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()
