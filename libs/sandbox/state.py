"""Finds, reads, writes and locks the folders of sandboxes on this machine."""

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
    """Returns the folder of all sandboxes of this user."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "py-cicd"


@dataclass(frozen=True)
class Folder:
    """One sandbox's folder, whether it exists or not."""

    name: str
    path: Path

    @property
    def environment(self) -> Path:
        """The environment file, which the deploy tool reads."""
        return self.path / ENVIRONMENT

    def read(self, name: str) -> bytes | None:
        """Returns a file's content, None if the file doesn't exist."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes, *, mode: int = 0o644) -> bytes:
        """Writes a file atomically, unless it has this content and mode already. Returns the content."""
        target = self.path / name
        if self.read(name) == content and target.stat().st_mode & 0o777 == mode:
            return content
        descriptor, temporary = tempfile.mkstemp(dir=self.path, prefix=f".{name}.")
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
        return content

    def make(self) -> None:
        """Makes the folder if it is missing."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def remove(self) -> None:
        """Removes the folder and everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def folder(name: str) -> Folder:
    """Returns the folder of a sandbox, which need not exist. Raises UsageError for an invalid name."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid sandbox name: use at most 40 lower case letters, digits and inner hyphens",
            hint="./ship up --sandbox my-sandbox",
        )
    return Folder(name, root() / name)


def names() -> list[str]:
    """Returns the names of all sandboxes, sorted, including those whose creation was interrupted."""
    if not root().is_dir():
        return []
    return sorted(
        entry.name for entry in root().iterdir() if entry.is_dir() and NAME.fullmatch(entry.name)
    )


def path(name: str) -> Path | None:
    """Returns the environment file of a sandbox, None if its creation never finished."""
    file = folder(name).environment
    return file if file.is_file() else None


def host_count(name: str) -> int:
    """Returns how many hosts a sandbox has, 0 if its creation never finished."""
    file = path(name)
    return len(tomllib.loads(file.read_text())["hosts"]) if file else 0


@contextmanager
def locked(sandbox: Folder) -> Iterator[None]:
    """Locks a sandbox for the context, or until this process dies.

    Raises LockedError at once if another process has locked it.
    """
    sandbox.make()
    descriptor = os.open(sandbox.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous holder may have removed the sandbox, and the lock file with it.
            os.stat(sandbox.path / LOCK)
        except (BlockingIOError, FileNotFoundError):
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            raise LockedError(
                f"sandbox {sandbox.name} is being created or removed by process {holder}; nothing was changed",
                hint="wait until that process ends, then repeat the command",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
