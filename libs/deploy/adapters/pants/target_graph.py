"""Asks Pants for the graph of all targets in one call; never runs a goal on any."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.core.ci.target_graph import Graph, Target
from deploy.errors import GraphError


class PantsTargets:
    """The targets of a checkout."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def macros(self) -> tuple[str, ...]:
        """Returns the patterns of files that the build's settings name: macros and plugins."""
        try:
            settings = tomllib.loads((self._root / "pants.toml").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise GraphError(f"pants.toml can't be read: {error}") from error
        told = settings.get("GLOBAL", {})
        folders = (each.removeprefix("%(buildroot)s/") for each in _texts(told, "pythonpath"))
        return (*_texts(told, "build_file_prelude_globs"), *(f"{each}/**" for each in folders))

    def read(self, folder: str | None = None) -> Graph:
        """Returns the graph of the checkout, or of another state of it in a folder.

        Raises GraphError. The call takes 1 to 20 s.
        """
        # A daemon for a folder that is about to go would outlive it.
        printed = self._peek(self._root) if folder is None else self._alone(Path(folder))
        try:
            return Graph(_target(each) for each in json.loads(printed))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GraphError("what ./pants peek :: prints is no list of targets") from error

    def _peek(self, folder: Path) -> str:
        try:
            return self._run(folder, {"PANTS_PANTSD_TIMEOUT_WHEN_MULTIPLE_INVOCATIONS": "3.0"})
        except GraphError:
            # The daemon is busy with another call, which may take minutes, or is in trouble.
            return self._alone(folder)

    def _alone(self, folder: Path) -> str:
        return self._run(folder, {"PANTS_PANTSD": "false", "PANTS_CONCURRENT": "true"})

    def _run(self, folder: Path, environ: Mapping[str, str]) -> str:
        # Without --tag=[] the settings would leave the integration tests out.
        argv = [str(folder / "pants"), "--tag=[]", "peek", "::"]
        try:
            done = subprocess.run(
                argv,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environ},
            )
        except OSError as error:
            raise GraphError(f"./pants can't be started: {error.strerror}") from error
        if done.returncode:
            said = _reason(done.stderr) or f"it ended with {done.returncode}"
            raise GraphError(f"./pants peek :: failed: {said}", hint="./pants peek ::")
        return done.stdout


def _reason(said: str) -> str:
    """Returns one line for people: what follows Pants' heading of exceptions, else the last one."""
    lines = [each.strip() for each in said.splitlines() if each.strip()]
    headings = [at for at, line in enumerate(lines[:-1]) if "Exception encountered" in line]
    return lines[headings[-1] + 1] if headings else "".join(lines[-1:])


def _target(told: Mapping[str, Any]) -> Target:
    return Target(
        address=told["address"],
        kind=told["target_type"],
        sources=tuple(told.get("sources") or ()),
        dependencies=tuple(told.get("dependencies") or ()),
        requirements=tuple(told.get("requirements") or ()),
    )


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, ())
    return (value,) if isinstance(value, str) else tuple(str(each) for each in value)
