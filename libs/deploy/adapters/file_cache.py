"""A cache of small texts on this machine, one file for each key."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


class FileCache:
    """A cache in a folder. If the folder can't be written, nothing is cached.

    It keeps the `limit` texts that were stored last; None: all.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self._folder = folder
        self._limit = limit

    def get(self, key: str) -> str | None:
        """Returns the text under a key, None if there is none."""
        try:
            return self._path(key).read_text(encoding="utf-8")
        except OSError:
            return None

    def put(self, key: str, text: str) -> None:
        """Stores a text under a key, atomically."""
        path = self._path(key)
        temporary = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            temporary.rename(path)
            self._remove_oldest()
        except OSError:
            return

    def _remove_oldest(self) -> None:
        if self._limit is not None:
            files = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
            for file in files[: max(0, len(files) - self._limit)]:
                file.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()[:32]
