"""Remembers small texts on this machine, one file a key; what is forgotten is only found out again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


class FileMemory:
    """A folder of the tool cache. A folder that can't be written remembers nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, key: str) -> str | None:
        """Returns what was kept under a key, None if nothing was."""
        try:
            return self._path(key).read_text(encoding="utf-8")
        except OSError:
            return None

    def keep(self, key: str, text: str) -> None:
        """Keeps a text, whole or not at all."""
        path = self._path(key)
        aside = path.with_suffix(f".{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(text, encoding="utf-8")
            aside.rename(path)
        except OSError:
            return

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()[:32]
