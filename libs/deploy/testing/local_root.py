"""Runs the deploy tool's host scripts on this machine, below a test's folder and with a fake `docker`."""

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
[ -e "$FAKE/broken-$1" ] && exit 1
case "$1" in
  login) cat > "$FAKE/password"; echo "$DOCKER_CONFIG" > "$FAKE/config"
    exit "$(cat "$FAKE/login" 2>/dev/null || echo 0)";;
  pull) [ -d "$DOCKER_CONFIG" ] || exit 9; exit "$(cat "$FAKE/pull" 2>/dev/null || echo 0)";;
  exec) cat "$FAKE/../edge/conf/routes.next.conf" > "$FAKE/checked"
    exit "$(cat "$FAKE/check" 2>/dev/null || echo 0)";;
  info) [ -e "$FAKE/down" ] && exit 1; printf 'engine 28.5.2\\ncompose 2.40.3\\ndata %s\\n' "$FAKE";;
  network) echo "network py-cicd";;
  # Docker 29 lists images without a tag, as those pulled by digest are, only with --all.
  image) case "$*" in *--all*) echo "image app@sha256:1234";; esac;;
  ps) case "$*" in
    *"label=py-cicd.key="*) cat "$FAKE/found" 2>/dev/null || :;;
    *label=py-cicd.name=keeper*) cat "$FAKE/found-keeper" 2>/dev/null || :;;
    *label=py-cicd.name=edge*) cat "$FAKE/edges" 2>/dev/null || :;;
    *com.docker.compose.project*) cat "$FAKE/older" 2>/dev/null || :;;
    *) echo 0c1d;;
    esac;;
  top) echo "PID COMMAND"; echo "7 nginx: worker process"; exit "$(cat "$FAKE/top" 2>/dev/null || echo 0)";;
  logs) for name in "$@"; do :; done; cat "$FAKE/log-$name" || echo "no container $name" >&2;;
  inspect) cat "$FAKE/container" 2>/dev/null || echo 'container {"Id": "0c1d"}';;
esac
"""


@dataclass
class LocalRoot:
    """A folder in place of the hosts' /srv/py-cicd, and a fake `docker` that records its calls."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> Self:
        """Creates the folder `root` with the fake `docker`."""
        local = cls(root)
        local.fake.mkdir(parents=True)
        docker = local.fake / "docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)
        return local

    @property
    def fake(self) -> Path:
        """The folder in which the fake `docker` records calls and finds its answers."""
        return self.root / "fake"

    def argv(self, argv: Sequence[str]) -> list[str]:
        """Returns argv with this root instead of a host's."""
        return [word.replace(paths.ROOT, str(self.root)) for word in argv]

    def environment(self) -> dict[str, str]:
        """Returns the environment variables of the scripts."""
        path = f"{self.fake}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "FAKE": str(self.fake)}

    def run(self, argv: Sequence[str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Runs argv and waits for its end."""
        return subprocess.run(
            self.argv(argv),
            input=stdin,
            capture_output=True,
            env=self.environment(),
            check=False,
            timeout=30,
        )

    def start(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Starts argv without waiting for its end."""
        return subprocess.Popen(
            self.argv(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment(),
        )

    def calls(self) -> list[str]:
        """Returns the arguments of `docker`, one line for each call."""
        found = self.fake / "calls"
        return found.read_text().splitlines() if found.exists() else []

    def read(self, name: str) -> str:
        """Returns the text of a file below the root."""
        return (self.root / name).read_text()
