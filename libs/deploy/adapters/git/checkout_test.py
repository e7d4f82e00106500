"""Tests of GitCheckout with real checkouts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.adapters.git.checkout import UNKNOWN, GitCheckout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "a path"
    made.mkdir()
    git(made, "init", "-q")
    return made


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(root: Path) -> str:
    (root / "file").write_text("one\n", encoding="utf-8")
    git(root, "add", "file")
    git(root, "commit", "-qm", "one")
    return git(root, "rev-parse", "HEAD")


def test_revision_is_head(root: Path) -> None:
    revision = commit(root)
    checkout = GitCheckout(root)
    assert (checkout.revision, checkout.dirty) == (revision, False)
    assert checkout.toplevel == root.resolve()


def test_changed_and_untracked_files_make_it_dirty(root: Path) -> None:
    commit(root)
    (root / "other").touch()
    assert GitCheckout(root).dirty
    (root / "other").unlink()
    (root / "file").write_text("two\n", encoding="utf-8")
    assert GitCheckout(root).dirty


def test_ignored_files_do_not_make_it_dirty(root: Path) -> None:
    (root / ".gitignore").write_text("dist\n.gitignore\n", encoding="utf-8")
    commit(root)
    (root / "dist").touch()
    assert not GitCheckout(root).dirty


def test_without_a_commit_the_revision_is_unknown(root: Path) -> None:
    assert GitCheckout(root).revision == UNKNOWN


def test_without_git_folder_the_revision_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    checkout = GitCheckout(tmp_path)
    assert (checkout.revision, checkout.dirty, checkout.toplevel) == (UNKNOWN, False, None)


def test_revision_of_a_copy_inside_another_checkout_is_unknown(root: Path) -> None:
    commit(root)
    copy = root / "copy"
    copy.mkdir()
    checkout = GitCheckout(copy)
    assert (checkout.revision, checkout.dirty) == (UNKNOWN, False)
    assert checkout.toplevel == root.resolve()


def test_without_the_git_program_the_revision_is_unknown(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(root)
    monkeypatch.setenv("PATH", str(root))
    assert GitCheckout(root).revision == UNKNOWN
