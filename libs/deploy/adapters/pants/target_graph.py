"""Reads the graph of all targets from Pants."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from deploy.core.ci.target_graph import Target, TargetGraph
from deploy.errors import GraphError


class PantsTargetGraphs:
    """The target graphs of a checkout's revisions. `unpacked` unpacks one into a folder; `say` tells people."""

    def __init__(
        self,
        root: Path,
        unpacked: Callable[[str], AbstractContextManager[str]],
        say: Callable[[str], None],
    ) -> None:
        self._root = root
        self._unpacked = unpacked
        self._say = say

    def macros(self) -> tuple[str, ...]:
        """Returns the patterns of the macro and plugin files that pants.toml names."""
        options = self.settings().get("GLOBAL", {})
        folders = (path.removeprefix("%(buildroot)s/") for path in _texts(options, "pythonpath"))
        globs = _texts(options, "build_file_prelude_globs")
        return (*globs, *(f"{folder}/**" for folder in folders))

    def settings(self) -> dict[str, Any]:
        """Returns what pants.toml says. Raises GraphError."""
        try:
            return tomllib.loads((self._root / "pants.toml").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise GraphError(f"pants.toml can't be read: {error}") from error

    def read(self, revision: str | None = None) -> TargetGraph:
        """Returns the graph of the checkout, or of another revision in a temporary folder.

        Raises GraphError, and HistoryError if the revision can't be unpacked. It takes 1 to 20 s.
        """
        self._say(
            f"Pants lists the targets of {(revision or 'this folder')[:12]} ... (usually 20 s)"
        )
        if revision is None:
            output = self._peek(self._root)
        else:
            # A temporary folder gets no daemon, which would outlive it.
            with self._unpacked(revision) as folder:
                output = self._peek_alone(Path(folder))
        try:
            return TargetGraph(_target(each) for each in json.loads(output))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GraphError(
                "the output of ./pants peek :: is not a list of targets", hint="./pants peek ::"
            ) from error

    def _peek(self, folder: Path) -> str:
        try:
            return self._run(folder, {"PANTS_PANTSD_TIMEOUT_WHEN_MULTIPLE_INVOCATIONS": "3.0"})
        except GraphError:
            # The daemon is busy with another call, which may take minutes, or is broken.
            return self._peek_alone(folder)

    def _peek_alone(self, folder: Path) -> str:
        return self._run(folder, {"PANTS_PANTSD": "false", "PANTS_CONCURRENT": "true"})

    def _run(self, folder: Path, environ: Mapping[str, str]) -> str:
        # --tag=[] includes the integration tests, which the settings exclude.
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
            reason = _reason(done.stderr) or f"exit code {done.returncode}"
            raise GraphError(f"./pants peek :: failed: {reason}", hint="./pants peek ::")
        return done.stdout


def settings_outside(root: Path, environ: Mapping[str, str]) -> str:
    """Returns the settings of Pants that git doesn't have: variables, and the files of the machine and the user.

    https://www.pantsbuild.org/v2.17/docs/options#pantsrc-file
    """
    files = [Path("/etc/pantsrc"), Path("~/.pants.rc").expanduser(), root / ".pants.rc"]
    found = {str(file): file.read_text(errors="replace") for file in files if file.is_file()}
    found |= {name: value for name, value in environ.items() if name.startswith("PANTS_")}
    return json.dumps(found, sort_keys=True)


def _reason(stderr: str) -> str:
    """Returns the line after Pants' heading of exceptions, else the last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    headings = [at for at, line in enumerate(lines[:-1]) if "Exception encountered" in line]
    return lines[headings[-1] + 1] if headings else "".join(lines[-1:])


def _target(peeked: Mapping[str, Any]) -> Target:
    return Target(
        address=peeked["address"],
        kind=peeked["target_type"],
        sources=tuple(peeked.get("sources") or ()),
        dependencies=tuple(peeked.get("dependencies") or ()),
        requirements=tuple(peeked.get("requirements") or ()),
    )


def _texts(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, ())
    return (value,) if isinstance(value, str) else tuple(str(each) for each in value)
