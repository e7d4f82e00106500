"""The state of a checkout, from git. Works without git and without `.git`."""

from __future__ import annotations

import subprocess
from pathlib import Path

UNKNOWN = "unknown"


class GitCheckout:
    """A folder that may be the root of a git checkout."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def revision(self) -> str:
        """The full id of HEAD, `unknown` if there is none."""
        return self._own("rev-parse", "--verify", "HEAD") or UNKNOWN

    @property
    def dirty(self) -> bool:
        """Whether tracked files differ from HEAD or there are untracked files. False without git."""
        return bool(self._own("status", "--porcelain"))

    @property
    def toplevel(self) -> Path | None:
        """The root of the checkout that contains this folder, None if there is none."""
        found = self._git("rev-parse", "--show-toplevel")
        return Path(found) if found else None

    def commits(self, since: str, until: str) -> list[tuple[str, str, str, str]]:
        """Returns (id, day, author, subject) of at most 40 commits between two revisions, newest first."""
        text = self._own("log", "--format=%H%x09%cs%x09%an%x09%s", "-n", "40", f"{since}..{until}")
        rows = (line.split("\t", 3) for line in text.splitlines())
        return [(row[0], row[1], row[2], row[3]) for row in rows if len(row) == 4]

    def commit_time(self, revision: str) -> float | None:
        """Returns the time of a commit in seconds since 1970, None if the checkout doesn't have it."""
        text = self._own("log", "-1", "--format=%ct", revision, "--")
        return float(text) if text.isdigit() else None

    def _own(self, *arguments: str) -> str:
        # A copy without `.git` may lie inside the checkout of another project, whose HEAD is not the copy's.
        toplevel = self.toplevel
        if toplevel is None or toplevel.resolve() != self._root.resolve():
            return ""
        return self._git(*arguments)

    def _git(self, *arguments: str) -> str:
        """Returns git's output, "" if git fails or isn't installed."""
        # --no-optional-locks: a query must not make a commit in another process fail.
        argv = ["git", "--no-optional-locks", "-C", str(self._root), *arguments]
        try:
            done = subprocess.run(argv, capture_output=True, check=False, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""
