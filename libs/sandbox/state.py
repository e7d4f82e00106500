"""A sandbox's folder on this machine: where it lies, how its files are written; never talks to an engine."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import LockedError, UsageError

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
ENVIRONMENT = "environment.toml"
LOCK = "lock"


def root() -> Path:
    """Returns the folder that holds every sandbox of this user."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "py-cicd"


@dataclass(frozen=True)
class Folder:
    """One sandbox's folder."""

    name: str
    path: Path

    @property
    def environment(self) -> Path:
        """The file that the deploy tool reads."""
        return self.path / ENVIRONMENT

    def read(self, name: str) -> bytes | None:
        """Returns a file's content, None if there is none."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes, *, mode: int = 0o644) -> bytes:
        """Writes a file whole or not at all, unless it holds just that already; returns the content."""
        target = self.path / name
        if self.read(name) == content and target.stat().st_mode & 0o777 == mode:
            return content
        descriptor, aside = tempfile.mkstemp(dir=self.path, prefix=f".{name}.")
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(aside, target)
        return content

    def remove(self) -> None:
        """Removes the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def folder(name: str) -> Folder:
    """Returns the folder of a sandbox, made or not. Raises UsageError for a name that can't be one."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't name a sandbox: lower case letters, digits and inner hyphens, at most 40",
            hint="./ship up --sandbox my-sandbox",
        )
    return Folder(name, root() / name)


def names() -> list[str]:
    """Returns the sandboxes that have a folder, half made ones too, in order."""
    here = root()
    if not here.is_dir():
        return []
    return sorted(
        each.name for each in here.iterdir() if each.is_dir() and NAME.fullmatch(each.name)
    )


def path(name: str) -> Path | None:
    """Returns the environment file of a sandbox, None if it isn't made, or only half."""
    found = folder(name).environment
    return found if found.is_file() else None


def host_count(name: str) -> int:
    """Returns how many hosts a sandbox has, 0 if there is none."""
    found = path(name)
    return len(tomllib.loads(found.read_text())["hosts"]) if found else 0


@contextmanager
def locked(place: Folder) -> Iterator[None]:
    """Holds a sandbox for one maker or remover at a time; ends with the process that holds it.

    Raises LockedError at once if somebody else holds it.
    """
    place.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(place.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it may have removed the sandbox in between, and the lock's file with it.
            os.stat(place.path / LOCK)
        except (BlockingIOError, FileNotFoundError):
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            raise LockedError(
                f"sandbox {place.name} is being made or removed by process {holder}; nothing was touched",
                hint="wait for it to end, then repeat the command",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
