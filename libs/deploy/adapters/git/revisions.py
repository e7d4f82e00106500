"""Git queries for the selection of tests: revisions, their relation to HEAD, and what changed since them."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from deploy.core.ci.base_revision import RevisionInfo
from deploy.core.ports import Say
from deploy.errors import HistoryError

QUERY_TIMEOUT_S = 120.0
FETCH_TIMEOUT_S = 900.0
DEFAULT_BRANCHES = ("main", "master")
HOOK_VARIABLES = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE"}
)


class GitRevisions:
    """The history of a checkout. Every method but `complete` raises HistoryError."""

    def __init__(self, root: Path, say: Say) -> None:
        self._root = root
        self._say = say

    def complete(self) -> str | None:
        """Fetches the rest of a shallow clone. Returns why the history can't be trusted, None if it can."""
        try:
            top = self._git("rev-parse", "--show-toplevel").strip()
            # A copy without `.git` may lie inside another project's checkout.
            if Path(top).resolve() != self._root.resolve():
                return "this is not a git checkout, so it is unknown what changed"
            self._git("rev-parse", "--verify", "HEAD^{commit}")
        except HistoryError as error:
            return f"this is not a git checkout, so it is unknown what changed ({error.message})"
        try:
            if self._git("rev-parse", "--is-shallow-repository").strip() == "true":
                self._unshallow()
        except HistoryError as error:
            return f"the clone is shallow and the rest can't be fetched ({error.message})"
        return None

    def _unshallow(self) -> None:
        self._say("the clone is shallow: fetching the history, without the content of files")
        options = ("--unshallow", "--filter=blob:none", "--no-tags", "origin")
        self._git("fetch", "--quiet", *options, timeout_s=FETCH_TIMEOUT_S)

    def fetch(self, branch: str) -> None:
        """Fetches origin's branch as `origin/BRANCH` unless the clone has it."""
        name = f"refs/remotes/origin/{branch}"
        if not self._find(name):
            self._say(f"fetching {branch} to find where this branch starts")
            options = ("--filter=blob:none", "--no-tags", "origin", f"+refs/heads/{branch}:{name}")
            self._git("fetch", "--quiet", *options, timeout_s=FETCH_TIMEOUT_S)

    def default_branch(self) -> str | None:
        """Returns the default branch in a laptop's clone, such as `origin/main`, None if it is unknown.

        A clone without origin has one only while another branch is checked out: HEAD compared with itself would be an
        empty change.
        """
        remote = self._query("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        if remote:
            return remote
        for name in DEFAULT_BRANCHES:
            if self._find(f"refs/remotes/origin/{name}"):
                return f"origin/{name}"
        branch = self._query("symbolic-ref", "--quiet", "--short", "HEAD")
        local = (name for name in DEFAULT_BRANCHES if self._find(f"refs/heads/{name}"))
        return next((name for name in local if branch not in DEFAULT_BRANCHES), None)

    def parents(self) -> tuple[str, ...]:
        """Returns HEAD's parents."""
        return tuple(self._git("rev-parse", "HEAD^@").split())

    def info(self, revision: str) -> RevisionInfo:
        """Returns what git reports of a revision."""
        sha = self._find(revision)
        if not sha:
            return RevisionInfo()
        bases = tuple(self._query("merge-base", "--all", sha, "HEAD").split())
        return RevisionInfo(sha, bases, int(self._git("rev-list", "--count", f"{sha}..HEAD")))

    def changed(self, since: str, *, uncommitted: bool) -> Mapping[str, bool]:
        """Returns the files that differ from a revision, each with whether it was deleted.

        A rename is a deleted and a new file. With `uncommitted` the files of the folder count too, except ignored ones.
        """
        # Each option overrides a setting of the user. Without renames git reads no content.
        plain = ("-z", "--name-status", "--no-renames", "--no-ext-diff", "--no-relative")
        to = () if uncommitted else ("HEAD",)
        output = self._git("diff", *plain, "--ignore-submodules=none", since, *to, "--").split("\0")
        found = dict(zip(output[1::2], (state == "D" for state in output[::2]), strict=False))
        if uncommitted:
            new = self._git("ls-files", "-z", "--others", "--exclude-standard", "--full-name")
            found |= dict.fromkeys((path for path in new.split("\0") if path), False)
        return found

    def text(self, revision: str | None, path: str) -> str:
        """Returns a file's text in a revision (None: in the folder), "" if there is no such file."""
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

    def ids(self, revision: str | None) -> Mapping[str, str]:
        """Returns the kind and the id of each file's content by path, of a revision or (None) of the folder.

        Ignored files don't count, and neither do submodules' files.
        """
        if revision is not None:
            listed = self._git("ls-tree", "-r", "-z", "--full-tree", revision).split("\0")
            rows = (row.partition("\t") for row in listed if row)
            return {path: _identity(entry.split()[0], entry.split()[2]) for entry, _, path in rows}
        found = {}
        for row in self._git("ls-files", "-z", "--stage", "--full-name").split("\0"):
            if row:
                entry, _, path = row.partition("\t")
                mode, blob, stage = entry.split()
                if stage != "0":
                    raise HistoryError(f"{path} has a merge conflict")
                found[path] = _identity(mode, blob)
        changed = self._git("diff-files", "-z", "--name-only", "--no-ext-diff", "--no-relative")
        new = self._git("ls-files", "-z", "--others", "--exclude-standard", "--full-name")
        differing = [path for path in f"{changed}{new}".split("\0") if path]
        for path in differing:
            found.pop(path, None)
        links = [path for path in differing if (self._root / path).is_symlink()]
        found |= {path: f"link to {(self._root / path).readlink()}" for path in links}
        files = [path for path in differing if path not in links and (self._root / path).is_file()]
        hashed = self._git("hash-object", "--stdin-paths", given=_lines(files)).split()
        return found | {
            path: _identity("100644", blob) for path, blob in zip(files, hashed, strict=True)
        }

    def contents(self, revision: str | None, paths: list[str]) -> Mapping[str, bytes]:
        """Returns the content of these files by path, of a revision or (None) of the folder."""
        if revision is None:
            try:
                return {path: (self._root / path).read_bytes() for path in paths}
            except OSError as error:
                raise HistoryError(f"{error.filename} can't be read: {error.strerror}") from error
        names = _lines(f"{revision}:{path}" for path in paths)
        output = io.BytesIO(self._git_bytes("cat-file", "--batch", given=names))
        return {path: _next_blob(output) for path in paths}

    @contextmanager
    def unpacked(self, revision: str) -> Iterator[str]:
        """Unpacks a revision into a temporary folder that exists as long as the context."""
        with tempfile.TemporaryDirectory(prefix="py-cicd-") as folder:
            archive = Path(folder) / "tree.tar"
            tree = Path(folder) / "tree"
            self._git("archive", "--format=tar", f"--output={archive}", revision)
            try:
                with tarfile.open(archive) as content:
                    content.extractall(tree, filter="data")
            except (OSError, tarfile.TarError) as error:
                raise HistoryError(f"{revision} can't be unpacked: {error}") from error
            archive.unlink()
            yield str(tree)

    def _find(self, revision: str) -> str:
        return self._query(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )

    def _query(self, *arguments: str) -> str:
        """Returns git's output, "" if git finds nothing and exits with 1."""
        return self._git(*arguments, nothing_found=1).strip()

    def _git(
        self,
        *arguments: str,
        timeout_s: float = QUERY_TIMEOUT_S,
        nothing_found: int = 0,
        given: bytes = b"",
    ) -> str:
        output = self._git_bytes(
            *arguments, timeout_s=timeout_s, nothing_found=nothing_found, given=given
        )
        return os.fsdecode(output)

    def _git_bytes(
        self,
        *arguments: str,
        timeout_s: float = QUERY_TIMEOUT_S,
        nothing_found: int = 0,
        given: bytes = b"",
    ) -> bytes:
        # --no-optional-locks: a query must not make a commit in another process fail.
        argv = ["git", "--no-optional-locks", "-C", str(self._root), *arguments]
        # Variables that git sets in hooks would select another repository; a prompt would wait forever.
        environment = {
            name: value for name, value in os.environ.items() if name not in HOOK_VARIABLES
        }
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                check=False,
                input=given,
                timeout=timeout_s,
                env={**environment, "GIT_TERMINAL_PROMPT": "0"},
            )
        except OSError as error:
            raise HistoryError(f"git can't be started: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise HistoryError(f"git {arguments[0]} took longer than {timeout_s:.0f} s") from error
        if done.returncode not in {0, nothing_found}:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise HistoryError(f"git {arguments[0]} exited with {done.returncode}: {lines[-1]}")
        return done.stdout if done.returncode == 0 else b""


def _identity(mode: str, blob: str) -> str:
    """Returns what identifies a file's content: its kind (the mode without permissions) and its blob."""
    return f"{mode[:3]} {blob}"


def _lines(texts: Iterable[str]) -> bytes:
    """Returns texts as lines for git. Raises HistoryError for a name with a line break, which git can't be given."""
    listed = list(texts)
    for text in listed:
        if "\n" in text:
            raise HistoryError(f"{text!r} has a line break in its name")
    return b"".join(os.fsencode(text) + b"\n" for text in listed)


def _next_blob(output: BinaryIO) -> bytes:
    """Reads the next object that `git cat-file --batch` printed."""
    heading = output.readline().split()
    if len(heading) != 3:
        raise HistoryError(f"git cat-file found no object: {heading}")
    content = output.read(int(heading[2]))
    output.readline()
    return content
