"""Finds the base images that Pants is about to build on and that the Docker engine lacks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from toolchain.docker_daemon import DockerDaemon

PACKAGING_GOALS = frozenset({"package", "publish", "run"})
BASE_IMAGE = re.compile(r"py-cicd/base-([a-z0-9-]+):[0-9a-f]+")


def required_bases(pants_toml: Path, args: Sequence[str] = ()) -> dict[str, str]:
    """Returns the base images among the build arguments in pants.toml: image by name of the base.

    If every target in `args` has a Dockerfile in its folder, only the bases that these Dockerfiles use.
    """
    document = tomllib.loads(pants_toml.read_text())
    dockerfiles = _dockerfiles(pants_toml.parent, args)
    bases = {}
    for argument in document.get("docker", {}).get("build_args", []):
        name, _, value = argument.partition("=")
        is_used = dockerfiles is None or any(f"${{{name}}}" in text for text in dockerfiles)
        if is_used and (match := BASE_IMAGE.fullmatch(value)):
            bases[match[1]] = match[0]
    return bases


def _dockerfiles(root: Path, args: Sequence[str]) -> list[str] | None:
    """Returns the Dockerfiles' texts, None if the arguments don't name them."""
    specs = [arg for arg in args if arg not in PACKAGING_GOALS and not arg.startswith("-")]
    files = [root / spec.partition(":")[0] / "Dockerfile" for spec in specs]
    if not files or not all(file.is_file() for file in files):
        return None
    return [file.read_text() for file in files]


def missing_bases(args: Sequence[str], pants_toml: Path, daemon: DockerDaemon) -> list[str]:
    """Returns the bases to build before Pants runs with `args`; none if no Docker engine answers."""
    if PACKAGING_GOALS.isdisjoint(args) or not daemon.answers():
        return []
    required = required_bases(pants_toml, args)
    return [name for name, image in required.items() if not daemon.has_image(image)]
