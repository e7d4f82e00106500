"""Which commit last changed given files, and which state a checkout is in, as git knows; never changes either."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.core.images.oci import UNKNOWN, Stamp

SHORT_S = 60


class GitHistory:
    """A checkout's history; without git or `.git` everything is unknown, and nothing fails."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def last_change(self, paths: Sequence[str]) -> Stamp:
        """Returns the last commit that changed one of the files; `-dirty` if they differ from what is committed."""
        if not self._is_root or not paths:
            return UNKNOWN
        revision, _, epoch = self._git("log", "-1", "--format=%H %ct", "--", *paths).partition(" ")
        if not epoch:
            return UNKNOWN
        changed = self._git("status", "--porcelain", "--untracked-files=all", "--", *paths)
        return Stamp(f"{revision}-dirty" if changed else revision, int(epoch))

    def committed(self, paths: Sequence[str]) -> str | None:
        """Returns a name for what HEAD has in these files, None where one differs from it or isn't in it."""
        wanted = sorted(set(paths))
        if not self._is_root or not wanted or self.last_change(wanted).revision.endswith("-dirty"):
            return None
        # Mode, kind and id of each: git's ids are of content alone.
        listed = self._git("ls-tree", "-r", "HEAD", "--", *wanted).splitlines()
        # Pants names files that it makes up itself (BUILD.python-lockfiles): they are nowhere.
        if len(listed) != sum(os.path.lexists(self._root / each) for each in wanted):
            return None
        return hashlib.sha256("\n".join(listed).encode()).hexdigest()

    def state(self) -> str | None:
        """Returns a name for HEAD together with all files that git doesn't ignore, None where there is no history."""
        head = self._git("rev-parse", "--verify", "HEAD") if self._is_root else ""
        if not head:
            return None
        with tempfile.TemporaryDirectory(prefix="py-cicd-") as folder:
            index = Path(folder) / "index"
            own = Path(self._git("rev-parse", "--absolute-git-dir")) / "index"
            # A copy of the index knows which files are unchanged without reading them; by its own time git
            # knows which ones may have changed in the same second.
            if own.exists():
                shutil.copy2(own, index)
            # Objects of changed files go aside too: asking leaves nothing in the checkout.
            objects = Path(folder) / "objects"
            objects.mkdir()
            theirs = Path(self._git("rev-parse", "--path-format=absolute", "--git-path", "objects"))
            aside = {
                "GIT_INDEX_FILE": str(index),
                "GIT_OBJECT_DIRECTORY": str(objects),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(theirs),
            }
            self._git("add", "--all", environ=aside)
            tree = self._git("write-tree", environ=aside)
        return f"{head}+{tree}" if tree else None

    @property
    def _is_root(self) -> bool:
        # A copy without `.git` may lie inside another project's checkout, whose history says nothing of it.
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
                timeout=SHORT_S,
                env={**os.environ, **(environ or {})},
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""
