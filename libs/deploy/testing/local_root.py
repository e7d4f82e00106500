"""This machine as a host: runs our scripts under another root with a made-up `docker` on the PATH."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from deploy.core.commands import paths

DOCKER = """#!/bin/sh
echo "$@" >> "$FAKE/calls"
case "$1" in
  login) cat > "$FAKE/password"; echo "$DOCKER_CONFIG" > "$FAKE/config"
    exit "$(cat "$FAKE/login" 2>/dev/null || echo 0)";;
  pull) [ -d "$DOCKER_CONFIG" ] || exit 9; exit "$(cat "$FAKE/pull" 2>/dev/null || echo 0)";;
  exec) cat "$FAKE/../edge/conf/routes.next.conf" > "$FAKE/judged"
    exit "$(cat "$FAKE/judge" 2>/dev/null || echo 0)";;
  info) [ -e "$FAKE/down" ] && exit 1; printf 'engine 28.5.2\\ncompose 2.40.3\\ndata %s\\n' "$FAKE";;
  network) echo "network py-cicd";;
  image) echo "image app@sha256:1234";;
  ps) case "$*" in
    *"label=py-cicd.key="*) cat "$FAKE/found" 2>/dev/null || :;;
    *label=py-cicd.name=keeper*) cat "$FAKE/found-keeper" 2>/dev/null || :;;
    *label=py-cicd.name=edge*) cat "$FAKE/edges" 2>/dev/null || :;;
    *com.docker.compose.project*) cat "$FAKE/older" 2>/dev/null || :;;
    *) echo 0c1d;;
    esac;;
  top) echo "PID COMMAND"; echo "7 nginx: worker process"; exit "$(cat "$FAKE/top" 2>/dev/null || echo 0)";;
  inspect) echo 'container {"Id": "0c1d"}';;
esac
"""


@dataclass
class Machine:
    """This machine with another root for what our scripts touch, and a `docker` that writes down its calls."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> Self:
        """Makes one whose files lie in `root`."""
        found = cls(root)
        found.fake.mkdir(parents=True)
        docker = found.fake / "docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)
        return found

    @property
    def fake(self) -> Path:
        """Where the made-up `docker` keeps what it was told."""
        return self.root / "fake"

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Returns argv with our root."""
        return [word.replace(paths.ROOT, str(self.root)) for word in argv]

    def environment(self) -> dict[str, str]:
        """The variables that scripts run with."""
        path = f"{self.fake}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "FAKE": str(self.fake)}

    def run(self, argv: Sequence[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Runs argv to its end."""
        return subprocess.run(
            self.argv(argv),
            input=stdin,
            capture_output=True,
            env=self.environment(),
            check=False,
            timeout=30,
        )

    def start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Starts argv and leaves it running."""
        return subprocess.Popen(
            self.argv(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment(),
        )

    def calls(self) -> list[str]:
        """What `docker` was called with, a line a call."""
        found = self.fake / "calls"
        return found.read_text().splitlines() if found.exists() else []

    def read(self, name: str) -> str:
        """The text of a file under the root."""
        return (self.root / name).read_text()
