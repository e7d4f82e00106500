"""Finds the files that a test depends on, from the graph of targets that Pants prints, and hashes them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PEEK = ("--tag=[]", "peek", "::")

# Files that tests depend on without declaring it: the tool's start, the build's settings and what every release is
# made of. A superset of EVERYTHING_FILES in deploy.core.ci.selection, with which `ship affected` selects everything.
SHARED_FOLDERS = (".ci", ".gitlab", "3rdparty", "deploy", "libs/toolchain", "pants-plugins")
SHARED_FILES = (
    *(
        ".gitattributes",
        ".gitignore",
        ".gitlab-ci.yml",
        ".pants.bootstrap",
        "pants",
        "pants.ci.toml",
    ),
    *("pants.toml", "pyproject.toml", "ship"),
)
SKIPPED_FOLDERS = frozenset({"__pycache__", "dist", "node_modules"})


@dataclass(frozen=True)
class SourceGraph:
    """The sources and dependencies of all targets, by address."""

    sources: Mapping[str, Sequence[str]]
    dependencies: Mapping[str, Sequence[str]]
    tests: frozenset[str]

    def tests_of(self, address: str) -> tuple[str, ...]:
        """Returns the tests that an address stands for: itself, or those that it generates."""
        if address in self.tests:
            return (address,)
        return tuple(each for each in self.dependencies.get(address, ()) if each in self.tests)

    def files(self, address: str) -> frozenset[str]:
        """Returns the sources of a target and of all that it depends on."""
        seen, left = {address}, [address]
        while left:
            for each in self.dependencies.get(left.pop(), ()):
                if each not in seen:
                    seen.add(each)
                    left.append(each)
        return frozenset(source for each in seen for source in self.sources.get(each, ()))


def parse_graph(text: str) -> SourceGraph | None:
    """Parses the output of `pants peek`. Returns None if it is something else."""
    try:
        targets: list[dict[str, Any]] = json.loads(text)
        return SourceGraph(
            {each["address"]: tuple(each.get("sources") or ()) for each in targets},
            {each["address"]: tuple(each.get("dependencies") or ()) for each in targets},
            frozenset(each["address"] for each in targets if each["target_type"] == "python_test"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def shared_files(checkout: Path) -> frozenset[str]:
    """Returns the files that every key contains: those named above, and each BUILD file."""
    found = {name for name in SHARED_FILES if (checkout / name).is_file()}
    for folder in SHARED_FOLDERS:
        found |= set(_walk(checkout, checkout / folder))
    for entry in filter(lambda entry: _is_searched(entry.name), checkout.iterdir()):
        files = _walk(checkout, entry) if entry.is_dir() else iter([entry.name])
        found |= {path for path in files if _is_build_file(path)}
    return frozenset(found)


def _walk(checkout: Path, folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if _is_searched(name)]
        inside = Path(parent).relative_to(checkout)
        yield from (str(inside / name) for name in files)


def _is_searched(folder: str) -> bool:
    return not folder.startswith(".") and folder not in SKIPPED_FOLDERS


def _is_build_file(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name == "BUILD" or name.startswith("BUILD.")


class FileHashes:
    """The hashes of a checkout's files, each read once."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout
        self._known: dict[str, str] = {}

    def key(self, files: Iterable[str], facts: Sequence[str]) -> str:
        """Returns the hash of these files, by path, content and mode, and of facts about the machine."""
        lines = [*facts, *(f"{path}\0{self._hash(path)}" for path in sorted(files))]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _hash(self, path: str) -> str:
        if path not in self._known:
            self._known[path] = _hash_file(self._checkout / path)
        return self._known[path]


def _hash_file(file: Path) -> str:
    try:
        if file.is_symlink():
            return f"link {os.readlink(file)}"
        mode = "x" if file.stat().st_mode & 0o100 else "-"
        return f"{mode} {hashlib.sha256(file.read_bytes()).hexdigest()}"
    except OSError as error:
        return f"unreadable {error.errno}"
