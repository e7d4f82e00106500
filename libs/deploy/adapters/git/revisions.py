"""Asks git what changed since a revision and how revisions relate; completes a shallow clone, changes nothing else."""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.core.ci.base_revision import Seen
from deploy.core.ports import Say
from deploy.errors import HistoryError

ASKING_S = 120.0
FETCHING_S = 900.0
TRUNKS = ("main", "master")


class GitRevisions:
    """The history of a checkout. Every method but `trouble` raises HistoryError."""

    def __init__(self, root: Path, say: Say) -> None:
        self._root = root
        self._say = say

    def trouble(self) -> str:
        """Completes a shallow clone; returns why its history can't be trusted, "" where it can."""
        try:
            top = self._git("rev-parse", "--show-toplevel").strip()
            # A copy without `.git` may lie inside another project's checkout.
            if Path(top).resolve() != self._root.resolve():
                return "this is no git checkout: nothing says what changed"
            self._git("rev-parse", "--verify", "HEAD^{commit}")
        except HistoryError as error:
            return f"this is no git checkout: nothing says what changed ({error.message})"
        try:
            if self._git("rev-parse", "--is-shallow-repository").strip() == "true":
                self._complete()
        except HistoryError as error:
            return f"the clone is shallow and can't be completed ({error.message})"
        return ""

    def _complete(self) -> None:
        self._say("the clone is shallow: git fetches the history, without the content of files")
        wanted = ("--unshallow", "--filter=blob:none", "--no-tags", "origin")
        self._git("fetch", "--quiet", *wanted, timeout_s=FETCHING_S)

    def fetch(self, branch: str) -> None:
        """Brings origin's branch, where the clone has none of it, as `origin/BRANCH`."""
        name = f"refs/remotes/origin/{branch}"
        if not self._find(name):
            self._say(f"git fetches {branch}, to find where this branch began")
            wanted = ("--filter=blob:none", "--no-tags", "origin", f"+refs/heads/{branch}:{name}")
            self._git("fetch", "--quiet", *wanted, timeout_s=FETCHING_S)

    def trunk(self) -> str:
        """Returns the default branch as a laptop's clone knows it, "" where it knows none.

        A clone without origin has a trunk only while another branch is checked out: HEAD measured
        against itself would be an empty change.
        """
        remote = self._ask("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        if remote:
            return remote
        for name in TRUNKS:
            if self._find(f"refs/remotes/origin/{name}"):
                return f"origin/{name}"
        branch = self._ask("symbolic-ref", "--quiet", "--short", "HEAD")
        local = (name for name in TRUNKS if self._find(f"refs/heads/{name}"))
        return next((name for name in local if branch not in TRUNKS), "")

    def parents(self) -> tuple[str, ...]:
        """Returns HEAD's parents."""
        return tuple(self._git("rev-parse", "HEAD^@").split())

    def see(self, revision: str) -> Seen:
        """Returns what git knows of a revision."""
        sha = self._find(revision)
        if not sha:
            return Seen()
        bases = tuple(self._ask("merge-base", "--all", sha, "HEAD").split())
        return Seen(sha, bases, int(self._git("rev-list", "--count", f"{sha}..HEAD")))

    def changed(self, since: str, *, uncommitted: bool) -> Mapping[str, bool]:
        """Returns the files that differ from a revision, each with whether it is gone.

        A rename is one file that is gone and one that came. `uncommitted` counts what lies in the
        folder, too, but nothing that git ignores.
        """
        # Each switch overrides a setting of the user's; without renames no content is read.
        plain = ("-z", "--name-status", "--no-renames", "--no-ext-diff", "--no-relative")
        to = () if uncommitted else ("HEAD",)
        told = self._git("diff", *plain, "--ignore-submodules=none", since, *to, "--").split("\0")
        found = dict(zip(told[1::2], (state == "D" for state in told[::2]), strict=False))
        if uncommitted:
            new = self._git("ls-files", "-z", "--others", "--exclude-standard", "--full-name")
            found |= dict.fromkeys((path for path in new.split("\0") if path), False)
        return found

    def text(self, revision: str | None, path: str) -> str:
        """Returns a file as it was at a revision (None: as it lies there), "" where it was not."""
        if revision is None:
            try:
                return (self._root / path).read_text(encoding="utf-8")
            except FileNotFoundError:
                return ""
            except (OSError, UnicodeDecodeError) as error:
                raise HistoryError(f"{path} can't be read: {error}") from error
        if not self._git("ls-tree", "--name-only", revision, "--", path):
            return ""
        return self._git("cat-file", "blob", f"{revision}:{path}")

    @contextmanager
    def tree(self, revision: str) -> Iterator[str]:
        """Unpacks a revision into a folder that lives as long as the context."""
        with tempfile.TemporaryDirectory(prefix="py-cicd-") as folder:
            archive = Path(folder) / "tree.tar"
            unpacked = Path(folder) / "tree"
            self._git("archive", "--format=tar", f"--output={archive}", revision)
            try:
                with tarfile.open(archive) as content:
                    content.extractall(unpacked, filter="data")
            except (OSError, tarfile.TarError) as error:
                raise HistoryError(f"{revision} can't be unpacked: {error}") from error
            archive.unlink()
            yield str(unpacked)

    def _find(self, revision: str) -> str:
        return self._ask(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )

    def _ask(self, *arguments: str) -> str:
        """Returns what git prints; git says no by ending with 1, which is nothing."""
        return self._git(*arguments, no=1).strip()

    def _git(self, *arguments: str, timeout_s: float = ASKING_S, no: int = 0) -> str:
        # --no-optional-locks: asking here must not make a commit in another process fail.
        argv = ["git", "--no-optional-locks", "-C", str(self._root), *arguments]
        # A hook's variables would lead to another repository; a prompt would wait for ever.
        kept = {name: value for name, value in os.environ.items() if not _leads_astray(name)}
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=timeout_s,
                env={**kept, "GIT_TERMINAL_PROMPT": "0"},
            )
        except OSError as error:
            raise HistoryError(f"git can't be started: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise HistoryError(f"git {arguments[0]} took longer than {timeout_s:.0f} s") from error
        if done.returncode not in {0, no}:
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
            raise HistoryError(f"git {arguments[0]} ended with {done.returncode}: {said[-1]}")
        return os.fsdecode(done.stdout) if done.returncode == 0 else ""


def _leads_astray(name: str) -> bool:
    return name in {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE"}
