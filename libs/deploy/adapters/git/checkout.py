"""What git knows of a checkout; never changes it, and does without git or without `.git`."""

from __future__ import annotations

import subprocess
from pathlib import Path

UNKNOWN = "unknown"


class Checkout:
    """A folder that may be the root of a git checkout."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def is_one(self) -> bool:
        """Whether git is there and the folder is the root of a checkout that has a commit."""
        return self.revision != UNKNOWN

    @property
    def revision(self) -> str:
        """HEAD's full revision, `unknown` without one."""
        return self._own("rev-parse", "--verify", "HEAD") or UNKNOWN

    @property
    def dirty(self) -> bool:
        """Whether tracked files differ from HEAD or untracked ones lie about; False without git."""
        return bool(self._own("status", "--porcelain"))

    @property
    def toplevel(self) -> Path | None:
        """The root folder of the checkout that holds this folder, None without one."""
        found = self._git("rev-parse", "--show-toplevel")
        return Path(found) if found else None

    def commits(self, since: str, until: str) -> list[tuple[str, str, str, str]]:
        """Returns (id, day, author, subject) of the commits between two revisions, newest first; none if unknown."""
        text = self._own("log", "--format=%H%x09%cs%x09%an%x09%s", "-n", "40", f"{since}..{until}")
        rows = (line.split("\t", 3) for line in text.splitlines())
        return [(row[0], row[1], row[2], row[3]) for row in rows if len(row) == 4]

    def committed(self, revision: str) -> float | None:
        """Returns when a revision was committed, in seconds since 1970; None if it isn't known here."""
        text = self._own("log", "-1", "--format=%ct", revision, "--")
        return float(text) if text.isdigit() else None

    def _own(self, *arguments: str) -> str:
        # A copy without `.git` may lie inside another project's checkout, whose HEAD says nothing of it.
        toplevel = self.toplevel
        if toplevel is None or toplevel.resolve() != self._root.resolve():
            return ""
        return self._git(*arguments)

    def _git(self, *arguments: str) -> str:
        """Returns what git prints, nothing when it fails or isn't there."""
        # --no-optional-locks: a status in one process must not make a commit in another fail.
        argv = ["git", "--no-optional-locks", "-C", str(self._root), *arguments]
        try:
            done = subprocess.run(argv, capture_output=True, check=False, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""
