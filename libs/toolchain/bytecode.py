"""Deletes the byte code of deleted folders from the cache, where `./ship` keeps it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def delete_orphans(folder: Path) -> None:
    """Deletes byte code whose source folder doesn't exist. `folder` mirrors the absolute paths of the sources."""
    for parent, children, _ in os.walk(folder):
        for child in tuple(children):
            path = Path(parent, child)
            if not Path("/", path.relative_to(folder)).is_dir():
                shutil.rmtree(path, ignore_errors=True)
                children.remove(child)
