"""Tools kept in the cache, one folder each, keyed by what decides their content.

A piece is there whole or not at all: it is made in a folder aside and renamed, under a file lock
that two clones share. It never removes or changes a piece that is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

RECORD = "made.json"


@dataclass(frozen=True)
class Piece:
    """One tool: `make(aside, home)` fills `aside`, which then becomes `home`.

    `inputs` is all that decides the content; `download_mb` and `seconds` are estimates for people.
    """

    group: str
    name: str
    title: str
    inputs: tuple[str, ...]
    download_mb: int
    seconds: int
    make: Callable[[Path, Path], None]

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits over the inputs."""
        return hashlib.sha256("\0".join(self.inputs).encode()).hexdigest()[:12]

    def home(self, cache: Path, *others: Path) -> Path:
        """The folder the piece has when it is whole: in one of `others` if it is there, else in `cache`."""
        name = f"{self.name}-{self.key}"
        homes = [other / self.group / name for other in others]
        return next((home for home in homes if _is_whole(home)), cache / self.group / name)

    def is_whole(self, cache: Path, *others: Path) -> bool:
        """Whether the piece can be used as it is."""
        return _is_whole(self.home(cache, *others))


def _is_whole(home: Path) -> bool:
    return (home / RECORD).is_file()


def bring(piece: Piece, cache: Path, *others: Path) -> Path:
    """Return the piece's home, making it first, in `cache`, if need be."""
    home = piece.home(cache, *others)
    if _is_whole(home):
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with locked(home.parent / f".{home.name}.lock"):
        if not _is_whole(home):
            _make(piece, home)
    return home


def _make(piece: Piece, home: Path) -> None:
    aside = home.parent / f".{home.name}.aside"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)
    aside.mkdir()
    started = time.monotonic()
    piece.make(aside, home)
    record = {"piece": piece.name, "key": piece.key, "seconds": round(time.monotonic() - started)}
    (aside / RECORD).write_text(json.dumps(record) + "\n")
    os.rename(aside, home)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a kernel lock on `path`; the kernel lets it go when the process ends, however."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
