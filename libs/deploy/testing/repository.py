"""Real git repositories: an origin, clones, and the partial checkouts of a CI runner."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

# The user's settings don't apply, and commits have a fixed time.
SETTINGS = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}


class Repository:
    """A repository with a working tree."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def made(cls, root: Path) -> Self:
        """Creates an empty repository on `main` that allows partial clones and fetches of any revision."""
        root.mkdir(parents=True)
        repository = cls(root)
        repository.git("init", "--quiet", "--initial-branch=main")
        repository.git("config", "uploadpack.allowFilter", "true")
        repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
        return repository

    def git(self, *arguments: str) -> str:
        """Runs git and returns its output. Raises AssertionError with its stderr if it fails."""
        argv = ["git", "-C", str(self.root), *arguments]
        done = subprocess.run(
            argv, capture_output=True, check=False, text=True, env={**os.environ, **SETTINGS}
        )
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    @property
    def head(self) -> str:
        """The revision of HEAD."""
        return self.git("rev-parse", "HEAD")

    def write(self, files: Mapping[str, str | None]) -> None:
        """Writes files and deletes those whose text is None."""
        for name, text in files.items():
            path = self.root / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")

    def commit(self, files: Mapping[str, str | None]) -> str:
        """Writes files, commits all changes and returns the revision."""
        self.write(files)
        self.git("add", "--all")
        self.git(
            "commit", "--quiet", "--allow-empty", "--message", f"{', '.join(files) or 'nothing'}"
        )
        return self.head

    def branch(self, name: str, start: str = "HEAD") -> None:
        """Creates a branch and checks it out."""
        self.git("checkout", "--quiet", "-b", name, start)

    def checkout(self, name: str) -> None:
        """Checks out a revision."""
        self.git("checkout", "--quiet", name)

    def merge(self, name: str) -> str:
        """Merges a revision with a merge commit and returns its revision."""
        self.git("merge", "--quiet", "--no-ff", "--no-edit", name)
        return self.head

    def cloned(self, root: Path) -> Repository:
        """Returns a full clone, as a person makes it."""
        self.git("clone", "--quiet", f"file://{self.root}", str(root))
        return Repository(root)

    def fetched(self, root: Path, revision: str, *, depth: int = 0) -> Repository:
        """Returns a checkout as a GitLab runner makes it: one fetched revision, detached, without a branch.

        https://docs.gitlab.com/ci/runners/configure_runners/#shallow-cloning
        """
        root.mkdir(parents=True)
        clone = Repository(root)
        clone.git("init", "--quiet")
        clone.git("remote", "add", "origin", f"file://{self.root}")
        limit = (f"--depth={depth}",) if depth else ()
        clone.git("fetch", "--quiet", *limit, "origin", f"+{revision}:refs/pipelines/1")
        clone.checkout(revision)
        return clone
