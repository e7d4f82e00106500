"""Turns the tar of an unpacked system into one reproducible image layer."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Buffer, Container, Iterator
from typing import IO

from deploy.core.images.recipes import (
    OwnFile,
    Recipe,
    matcher,
)
from deploy.errors import BuildError

BLOCK = 1 << 20


class HashedStream(io.RawIOBase):
    """Passes bytes on to a stream, and counts and hashes them."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: Buffer, /) -> int:
        """Writes data to the target."""
        self._digest.update(data)
        self.size += memoryview(data).nbytes
        return self._target.write(data)

    @property
    def digest(self) -> str:
        """`sha256:...` of everything written so far."""
        return f"sha256:{self._digest.hexdigest()}"


def write_layer(
    recipe: Recipe, system: IO[bytes], target: IO[bytes], *, absent: Container[str], status: bytes
) -> HashedStream:
    """Writes the layer of a recipe to `target` and returns its digest and size.

    `system` is mmdebstrap's tar, read as a stream; `absent` are the paths of packages that the recipe leaves out;
    `status` is dpkg's list of the image's packages, which vulnerability scanners read.
    """
    out = HashedStream(target)
    joined: dict[str, list[tuple[str, bytes]]] = {path: [] for path in recipe.joins}
    with (
        tarfile.open(fileobj=system, mode="r|*", bufsize=BLOCK) as source,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT, bufsize=BLOCK) as layer,
    ):
        _copy(recipe, source, layer, absent, joined)
        for member, content in _added(recipe, joined, status):
            member.mtime = recipe.epoch
            layer.addfile(member, io.BytesIO(content))
    return out


def _copy(
    recipe: Recipe,
    source: tarfile.TarFile,
    layer: tarfile.TarFile,
    absent: Container[str],
    joined: dict[str, list[tuple[str, bytes]]],
) -> None:
    dropped = matcher(recipe.dropped)
    joins = {path: matcher((pattern,)) for path, pattern in recipe.joins.items()}
    replaced = {
        *(file.path for file in recipe.files),
        *recipe.links,
        *recipe.joins,
        *recipe.folders,
    }
    for member in source:
        path = member.name.removeprefix("./")
        if member.isreg():
            for target, pattern in joins.items():
                if pattern.fullmatch(path):
                    joined[target].append((path, _content(source, member)))
        if path in {"", "."} or path in absent or path in replaced or dropped.fullmatch(path):
            continue
        _normalise(member, path, recipe.epoch)
        if member.islnk() and (member.linkname in absent or dropped.fullmatch(member.linkname)):
            raise BuildError(
                f"base {recipe.name}: {path} is a hard link to {member.linkname}, which the recipe drops",
                hint=f"drop both or neither in deploy/base/{recipe.name}/recipe.toml",
            )
        layer.addfile(member, source.extractfile(member) if member.isreg() else None)


def _normalise(member: tarfile.TarInfo, path: str, epoch: int) -> None:
    member.name = path
    member.uname = member.gname = ""
    member.pax_headers = {}
    member.mtime = epoch
    if member.islnk():
        member.linkname = member.linkname.removeprefix("./")


def _content(source: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    reader = source.extractfile(member)
    return reader.read() if reader else b""


def _added(
    recipe: Recipe, joined: dict[str, list[tuple[str, bytes]]], status: bytes
) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    contents = {
        path: b"".join(content for _, content in sorted(parts)) for path, parts in joined.items()
    }
    own = [OwnFile(path, content, False) for path, content in contents.items()]
    own.append(OwnFile("var/lib/dpkg/status", status, False))
    for path, owned in sorted(recipe.folders.items()):
        member = tarfile.TarInfo(path)
        member.type, member.mode, member.uid, member.gid = (
            tarfile.DIRTYPE,
            owned.mode,
            owned.uid,
            owned.gid,
        )
        yield member, b""
    for path, target in sorted(recipe.links.items()):
        member = tarfile.TarInfo(path)
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, target
        yield member, b""
    for file in sorted((*recipe.files, *own), key=lambda file: file.path):
        member = tarfile.TarInfo(file.path)
        member.size, member.mode = len(file.content), 0o755 if file.executable else 0o644
        yield member, file.content
