"""The history of an image's files, from git: their last change, and names for their content."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.core.images.oci import UNKNOWN, Stamp

TIMEOUT_S = 60


class GitHistory:
    """The history of a checkout. Without git or `.git` everything is unknown, and nothing fails."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def last_change(self, paths: Sequence[str]) -> Stamp:
        """Returns the last commit that changed one of the files, with `-dirty` if a file differs from HEAD."""
        if not self._is_root or not paths:
            return UNKNOWN
        revision, _, epoch = self._git("log", "-1", "--format=%H %ct", "--", *paths).partition(" ")
        if not epoch:
            return UNKNOWN
        changed = self._git("status", "--porcelain", "--untracked-files=all", "--", *paths)
        return Stamp(f"{revision}-dirty" if changed else revision, int(epoch))

    def committed(self, paths: Sequence[str]) -> str | None:
        """Returns a hash of these files' content in HEAD, None if one of them differs from HEAD or isn't in it."""
        wanted = sorted(set(paths))
        if not self._is_root or not wanted or self.last_change(wanted).revision.endswith("-dirty"):
            return None
        # Mode, kind and id of each file; git's ids depend on the content only.
        listed = self._git("ls-tree", "-r", "HEAD", "--", *wanted).splitlines()
        # Pants also lists files that it generates and that don't exist (BUILD.python-lockfiles).
        if len(listed) != sum(os.path.lexists(self._root / each) for each in wanted):
            return None
        return hashlib.sha256("\n".join(listed).encode()).hexdigest()

    def state(self) -> str | None:
        """Returns a name for HEAD and the content of all files that git doesn't ignore, None without a history."""
        head = self._git("rev-parse", "--verify", "HEAD") if self._is_root else ""
        if not head:
            return None
        with tempfile.TemporaryDirectory(prefix="py-cicd-") as folder:
            index = Path(folder) / "index"
            original = Path(self._git("rev-parse", "--absolute-git-dir")) / "index"
            # With a copy of the index git needn't read unchanged files. The copy keeps the index's time, by which git
            # knows the files that may have changed in the same second.
            if original.exists():
                shutil.copy2(original, index)
            # Objects of changed files go into the temporary folder, so that this query changes nothing.
            objects = Path(folder) / "objects"
            objects.mkdir()
            existing = Path(
                self._git("rev-parse", "--path-format=absolute", "--git-path", "objects")
            )
            environment = {
                "GIT_INDEX_FILE": str(index),
                "GIT_OBJECT_DIRECTORY": str(objects),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(existing),
            }
            self._git("add", "--all", environ=environment)
            tree = self._git("write-tree", environ=environment)
        return f"{head}+{tree}" if tree else None

    @property
    def _is_root(self) -> bool:
        # A copy without `.git` may lie inside the checkout of another project, whose history is not the copy's.
        top = self._git("rev-parse", "--show-toplevel")
        return bool(top) and Path(top).resolve() == self._root.resolve()

    def _git(self, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
        argv = [
            "git",
            "--no-optional-locks",
            "--literal-pathspecs",
            "-C",
            str(self._root),
            *arguments,
        ]
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                check=False,
                text=True,
                timeout=TIMEOUT_S,
                env={**os.environ, **(environ or {})},
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""
