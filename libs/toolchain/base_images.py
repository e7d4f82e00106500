"""Which base images Pants is about to build on and the engine lacks; it never builds one itself."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from toolchain.engine import Engine

PACKAGING = frozenset({"package", "publish", "run"})
BASE = re.compile(r"py-cicd/base-([a-z0-9-]+):[0-9a-f]+")


def wanted_bases(pants_toml: Path, args: Sequence[str] = ()) -> dict[str, str]:
    """The base images that build arguments name, image by name of the base.

    Where `args` name images of a folder each, only those that the folders' Dockerfiles mention.
    """
    document = tomllib.loads(pants_toml.read_text())
    texts = _dockerfiles(pants_toml.parent, args)
    found = {}
    for argument in document.get("docker", {}).get("build_args", []):
        name, _, value = argument.partition("=")
        is_used = texts is None or any(f"${{{name}}}" in text for text in texts)
        if is_used and (match := BASE.fullmatch(value)):
            found[match[1]] = match[0]
    return found


def _dockerfiles(root: Path, args: Sequence[str]) -> list[str] | None:
    """None where the arguments don't say which."""
    specs = [each for each in args if each not in PACKAGING and not each.startswith("-")]
    files = [root / each.partition(":")[0] / "Dockerfile" for each in specs]
    if not files or not all(file.is_file() for file in files):
        return None
    return [file.read_text() for file in files]


def missing_bases(args: Sequence[str], pants_toml: Path, engine: Engine) -> list[str]:
    """The bases to bring before these arguments of Pants; none where no engine answers."""
    if PACKAGING.isdisjoint(args) or not engine.answers():
        return []
    wanted = wanted_bases(pants_toml, args)
    return [name for name, image in wanted.items() if not engine.has_image(image)]
