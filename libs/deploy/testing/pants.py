"""Builds target graphs of real folders without Pants.

A Python file depends on the modules below libs/ and services/ that it imports and on each PATH in a comment
`# reads PATH`. A Dockerfile is an image of its folder's code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from deploy.core.ci.target_graph import Target, TargetGraph
from deploy.errors import GraphError

REQUIREMENTS = "3rdparty/python/requirements.txt"
LOCK = "3rdparty/python/default.lock"


class FolderGraphs:
    """Reads the target graph of a folder. It fails with `broken` while that is set; `reads` counts calls."""

    def __init__(self, root: Path, unpacked: Callable[[str], AbstractContextManager[str]]) -> None:
        self._root = root
        self._unpacked = unpacked
        self.broken = ""
        self.reads = 0

    def macros(self) -> tuple[str, ...]:
        return ("macros/*.py",)

    def read(self, revision: str | None = None) -> TargetGraph:
        self.reads += 1
        if self.broken:
            raise GraphError(f"./pants peek :: failed: {self.broken}")
        if revision is None:
            return self._read(self._root)
        with self._unpacked(revision) as folder:
            return self._read(Path(folder))

    def _read(self, root: Path) -> TargetGraph:
        files = {
            path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()
        }
        texts = {
            name: path.read_text() for name, path in files.items() if not name.startswith(".git/")
        }
        return TargetGraph(_targets(texts))


def _targets(texts: dict[str, str]) -> Iterator[Target]:
    read = {path for text in texts.values() for path in re.findall(r"(?m)^# reads (\S+)", text)}
    for name, text in texts.items():
        folder = name.rpartition("/")[0]
        if name.endswith("_test.py"):
            yield Target(f"{name}:tests", "python_test", (name,), tuple(_dependencies(text, texts)))
        elif name.endswith(".py") and not name.startswith("macros/"):
            yield Target(name, "python_source", (name,), tuple(_dependencies(text, texts)))
        elif name.endswith("/Dockerfile"):
            code = (
                path for path in texts if path.startswith(f"{folder}/") and path.endswith(".py")
            )
            used = tuple(path for path in code if not path.endswith("_test.py"))
            yield Target(f"{folder}:image", "docker_image", (name,), used)
        elif name.endswith("/service.toml") or name in read:
            yield Target(f"{folder}/{name.rpartition('/')[2]}:files", "file", (name,))
    yield from _requirements(texts)


def _requirements(texts: dict[str, str]) -> Iterator[Target]:
    if REQUIREMENTS in texts:
        listed, lock = f"{REQUIREMENTS}:requirements", f"{LOCK}:_default_lockfile"
        yield Target(listed, "_generator_sources_helper", (REQUIREMENTS,))
        yield Target(lock, "_lockfile", (LOCK,))
        for name in texts[REQUIREMENTS].split():
            address = f"3rdparty/python:requirements#{name}"
            yield Target(address, "python_requirement", (), (listed, lock), (name,))


def _dependencies(text: str, texts: dict[str, str]) -> Iterator[str]:
    for module in re.findall(r"(?m)^import (\S+)", text):
        path = module.replace(".", "/") + ".py"
        first_party = [file for file in (f"libs/{path}", f"services/{path}") if file in texts]
        if first_party:
            yield first_party[0]
        elif module in texts.get(REQUIREMENTS, "").split():
            yield f"3rdparty/python:requirements#{module}"
    for path in re.findall(r"(?m)^# reads (\S+)", text):
        if path in texts:
            yield f"{path.rpartition('/')[0]}/{path.rpartition('/')[2]}:files"
