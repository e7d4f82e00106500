"""Which base images Pants is about to build on and the engine lacks; it never builds one itself."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from toolchain.engine import Engine

PACKAGING = frozenset({"package", "publish", "run"})
BASE = re.compile(r"py-cicd/base-([a-z0-9-]+):[0-9a-f]+")


def wanted_bases(pants_toml: Path) -> dict[str, str]:
    """The base images that build arguments name, image by name of the base."""
    document = tomllib.loads(pants_toml.read_text())
    found = {}
    for argument in document.get("docker", {}).get("build_args", []):
        if match := BASE.fullmatch(argument.partition("=")[2]):
            found[match[1]] = match[0]
    return found


def missing_bases(args: Sequence[str], pants_toml: Path, engine: Engine) -> list[str]:
    """The bases to bring before these arguments of Pants; none where no engine answers."""
    if PACKAGING.isdisjoint(args) or not engine.answers():
        return []
    wanted = wanted_bases(pants_toml)
    return [name for name, image in wanted.items() if not engine.has_image(image)]
