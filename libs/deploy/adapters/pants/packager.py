"""Packages images with Pants, and lists their inputs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.errors import BuildError

LAST_LINES = 25


class PantsPackager:
    """Packages the targets of a checkout."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def inputs(self, target: str) -> tuple[str, ...]:
        """Returns the files that a target is built from, as paths from the root. Raises BuildError."""
        return tuple(sorted(self._run("filedeps", "--transitive", target).split("\n")))

    def package(self, target: str) -> str:
        """Builds an image and returns its id in the engine. Raises BuildError with the last lines of the output.

        It returns the id because a build in another checkout can take the name at any time.
        """
        self._run("package", target)
        folder, _, name = target.partition(":")
        file = self._root / "dist" / folder.replace("/", ".") / f"{name}.docker-info.json"
        try:
            info = json.loads(file.read_text(encoding="utf-8"))
            return str(info["image_id"])
        except (OSError, ValueError, KeyError) as error:
            raise BuildError(
                f"{target} was packaged, but {file} names no image; nothing was published",
                hint=f"make {target} a docker_image in {folder}/BUILD",
            ) from error

    def _run(self, *arguments: str) -> str:
        # DOCKER_BUILDKIT=0: Debian's engine has no buildx. The layers are the same.
        environment = {"DOCKER_BUILDKIT": "0", **os.environ}
        try:
            done = subprocess.run(
                [str(self._root / "pants"), *arguments],
                cwd=self._root,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            raise BuildError(
                f"{self._root / 'pants'} can't be started: {error.strerror}; nothing was published",
                hint="restore the checkout's ./pants, then run this again",
            ) from error
        if done.returncode:
            raise BuildError(
                f"./pants {' '.join(arguments)} failed; nothing was published:\n{_last(done.stderr or done.stdout)}",
                hint=f"./pants {' '.join(arguments)}",
            )
        return done.stdout.strip()


def _last(text: str) -> str:
    lines: Sequence[str] = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-LAST_LINES:])
