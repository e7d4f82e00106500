"""Tools in the cache: each has a folder of its own, named by a hash of the tool's inputs.

A tool is installed completely or not at all: it is built in a staging folder, which is renamed at the end. A file lock
makes sure that two clones don't build the same tool at once.
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
class Tool:
    """A tool and how to build it: `build(staging, folder)` fills `staging`, which is then renamed to `folder`.

    `inputs` determine the content and therefore the key. `download_mb` and `seconds` are estimates that the user sees.
    `needs` are the ids of the tools that `build` uses.
    """

    group: str
    name: str
    title: str
    inputs: tuple[str, ...]
    download_mb: int
    seconds: int
    build: Callable[[Path, Path], None]
    needs: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The name by which other tools need it, the same for every version of the tool."""
        return f"{self.group}/{self.name}"

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits of the inputs' SHA-256."""
        return hashlib.sha256("\0".join(self.inputs).encode()).hexdigest()[:12]

    def folder(self, cache: Path, *others: Path) -> Path:
        """Returns the tool's folder: in one of `others` if it is installed there, else in `cache`."""
        name = f"{self.name}-{self.key}"
        folders = [other / self.group / name for other in others]
        return next(
            (folder for folder in folders if _is_complete(folder)), cache / self.group / name
        )

    def is_installed(self, cache: Path, *others: Path) -> bool:
        """Returns whether the tool is installed in one of the caches."""
        return _is_complete(self.folder(cache, *others))


def _is_complete(folder: Path) -> bool:
    return (folder / RECORD).is_file()


def install_tool(tool: Tool, cache: Path, *others: Path) -> Path:
    """Builds the tool in `cache` unless it is installed. Returns its folder."""
    folder = tool.folder(cache, *others)
    if _is_complete(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent / f".{folder.name}.lock"):
        if not _is_complete(folder):
            _build(tool, folder)
    return folder


def _build(tool: Tool, folder: Path) -> None:
    staging = folder.parent / f".{folder.name}.staging"
    shutil.rmtree(staging, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    staging.mkdir()
    started = time.monotonic()
    tool.build(staging, folder)
    record = {"tool": tool.name, "key": tool.key, "seconds": round(time.monotonic() - started)}
    (staging / RECORD).write_text(json.dumps(record) + "\n")
    os.rename(staging, folder)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock on `path` inside the `with` block. The kernel releases it if the process dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
