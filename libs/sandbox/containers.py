"""What a sandbox wants of the Docker engine, as values; never talks to one."""

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
    """A file of root's that a container finds when it starts."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644


@dataclass(frozen=True)
class Container:
    """One container of a sandbox.

    `ports` are (port inside, port on 127.0.0.1), `volumes` are (name, path inside). `nested` gives it what an
    engine of its own needs, which is as good as root on this machine.
    """

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
        """Names this very content: a container with another key is replaced."""
        files = [
            (file.path, file.mode, hashlib.sha256(file.content).digest()) for file in self.files
        ]
        settings = [getattr(self, name) for name in self.__dataclass_fields__ if name != "files"]
        return hashlib.sha256(repr((settings, files)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Names:
    """What the engine's objects of a sandbox are called."""

    sandbox: str

    @property
    def network(self) -> str:
        """The network that all its containers are on."""
        return f"py-cicd-{self.sandbox}"

    def container(self, part: str) -> str:
        """The container of a part, such as `host-1` or `registry`."""
        return f"py-cicd-{self.sandbox}-{part}"

    def volume(self, part: str, holds: str) -> str:
        """A volume of a part."""
        return f"py-cicd-{self.sandbox}-{part}-{holds}"


def pack(files: Sequence[File]) -> bytes:
    """Packs files and the folders that they are in into a tar archive from the root, owned by root.

    The folders are named since the engine would make missing ones writable by everybody.
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
