import os
import subprocess
from pathlib import Path

import pytest

from deploy.adapters.git.image_history import GitHistory
from deploy.core.images.oci import UNKNOWN


class Clone:
    """A real checkout with commits at given times."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, when: int = 1_700_000_000) -> str:
        date = f"{when} +0000"
        identity = {
            f"GIT_{who}_{what}": "x"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        times = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments],
            env={**os.environ, **identity, **times},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, path: str, content: str, when: int) -> str:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", f"change {path}", when=when)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "with a space")


def test_last_change_is_that_of_the_given_files(clone: Clone) -> None:
    changed = clone.commit("app/web.py", "1", 1_700_000_100)
    clone.commit("docs/readme.md", "text", 1_700_000_200)
    stamp = GitHistory(clone.root).last_change(["app/web.py", "app/api.py"])
    assert (stamp.revision, stamp.epoch) == (changed, 1_700_000_100)


def test_changed_and_new_inputs_are_dirty_and_other_files_do_not_count(clone: Clone) -> None:
    revision = clone.commit("app/web.py", "1", 1_700_000_100)
    history = GitHistory(clone.root)
    (clone.root / "notes").write_text("n")
    assert history.last_change(["app/web.py"]).revision == revision
    (clone.root / "app/api.py").write_text("new")
    assert history.last_change(["app/web.py", "app/api.py"]).revision == f"{revision}-dirty"


def test_committed_hash_depends_on_the_content_only(clone: Clone) -> None:
    clone.commit("app/web.py", "1", 1_700_000_100)
    history = GitHistory(clone.root)
    first = history.committed(["app/web.py"])
    assert first
    clone.commit("docs/readme.md", "text", 1_700_000_200)
    assert history.committed(["app/web.py", "app/web.py", "app/missing"]) == first
    clone.commit("app/web.py", "2", 1_700_000_300)
    second = history.committed(["app/web.py"])
    assert second not in (None, first)
    clone.commit("app/web.py", "1", 1_700_000_400)
    assert history.committed(["app/web.py"]) == first


def test_uncommitted_files_have_no_committed_hash(clone: Clone) -> None:
    clone.commit("app/web.py", "1", 1_700_000_100)
    clone.commit(".gitignore", "app/made.py\n", 1_700_000_150)
    history = GitHistory(clone.root)
    (clone.root / "app/made.py").write_text("ignored")
    assert history.committed(["app/web.py", "app/made.py"]) is None
    (clone.root / "app/web.py").write_text("2")
    assert history.committed(["app/web.py"]) is None


def test_history_without_git_is_unknown(tmp_path: Path) -> None:
    history = GitHistory(tmp_path)
    assert history.last_change(["a"]) == UNKNOWN
    assert history.state() is None
    assert history.committed(["a"]) is None


def test_history_of_a_copy_inside_another_checkout_is_unknown(clone: Clone) -> None:
    clone.commit("copy/web.py", "1", 1_700_000_100)
    history = GitHistory(clone.root / "copy")
    assert history.last_change(["web.py"]) == UNKNOWN
    assert history.state() is None


def test_state_depends_on_every_file_that_is_not_ignored(clone: Clone) -> None:
    clone.commit("app/web.py", "1", 1_700_000_100)
    clone.commit(".gitignore", "dist/\n", 1_700_000_150)
    history = GitHistory(clone.root)
    clean = history.state()
    assert clean
    assert history.state() == clean
    (clone.root / "dist").mkdir()
    (clone.root / "dist" / "built").write_text("ignored")
    assert history.state() == clean
    (clone.root / "new").write_text("n")
    with_new = history.state()
    (clone.root / "app/web.py").write_text("2")
    with_change = history.state()
    assert len({clean, with_new, with_change}) == 3


def test_state_changes_nothing_in_the_checkout(clone: Clone) -> None:
    clone.commit("app/web.py", "1", 1_700_000_100)
    (clone.root / "app/web.py").write_text("2")
    (clone.root / "new").write_text("n")

    def observed() -> tuple[str, int]:
        objects = sum(1 for each in (clone.root / ".git" / "objects").rglob("*") if each.is_file())
        return clone.git("status", "--porcelain"), objects

    before = observed()
    GitHistory(clone.root).state()
    assert observed() == before
