from pathlib import Path

import pytest

from deploy.adapters.git.revisions import GitRevisions
from deploy.core.ci.base_revision import RevisionInfo
from deploy.errors import HistoryError
from deploy.testing.repository import Repository


def revisions(repository: Repository) -> GitRevisions:
    return GitRevisions(repository.root, lambda text: None)


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    return Repository.made(tmp_path / "origin")


def test_folder_without_git_is_reported(tmp_path: Path) -> None:
    problem = GitRevisions(tmp_path, print).complete()
    assert problem is not None
    assert problem.startswith("this is not a git checkout, so it is unknown what changed")


def test_copy_inside_another_checkout_is_reported(origin: Repository) -> None:
    origin.commit({"copy/pants.toml": ""})
    problem = GitRevisions(origin.root / "copy", print).complete()
    assert problem == "this is not a git checkout, so it is unknown what changed"


def test_checkout_without_a_commit_is_reported(origin: Repository) -> None:
    problem = revisions(origin).complete()
    assert problem is not None
    assert problem.startswith("this is not a git checkout")


def test_variables_of_git_hooks_are_ignored(
    origin: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository.made(tmp_path / "other")
    other.commit({})
    head = origin.commit({"a": ""})
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    assert revisions(origin).complete() is None
    assert revisions(origin).info("HEAD").sha == head


def test_history_of_a_shallow_clone_is_fetched_without_file_content(
    origin: Repository, tmp_path: Path
) -> None:
    first = origin.commit({"a.py": "old content"})
    for number in range(5):
        origin.commit({"a.py": str(number)})
    clone = origin.fetched(tmp_path / "clone", origin.head, depth=2)
    assert revisions(clone).info(first) == RevisionInfo()
    messages: list[str] = []
    assert GitRevisions(clone.root, messages.append).complete() is None
    assert messages
    assert revisions(clone).info(first) == RevisionInfo(first, (first,), 5)
    missing = clone.git("rev-list", "--objects", "--missing=print", "HEAD")
    assert sum(line.startswith("?") for line in missing.splitlines()) == 4


def test_shallow_clone_that_cannot_be_completed_is_reported(
    origin: Repository, tmp_path: Path
) -> None:
    for number in range(3):
        origin.commit({"a": str(number)})
    clone = origin.fetched(tmp_path / "clone", origin.head, depth=1)
    clone.git("remote", "set-url", "origin", str(tmp_path / "nowhere"))
    problem = revisions(clone).complete()
    assert problem is not None
    assert "shallow and the rest can't be fetched (git fetch exited with 128" in problem


def test_branch_that_the_clone_lacks_is_fetched(origin: Repository, tmp_path: Path) -> None:
    began = origin.commit({"a": "1"})
    origin.branch("topic")
    head = origin.commit({"a": "2"})
    clone = origin.fetched(tmp_path / "clone", head)
    revisions(clone).fetch("main")
    assert revisions(clone).info("origin/main") == RevisionInfo(began, (began,), 1)


def test_branch_that_origin_lacks_is_an_error(origin: Repository, tmp_path: Path) -> None:
    clone = origin.fetched(tmp_path / "clone", origin.commit({}))
    with pytest.raises(HistoryError, match="git fetch"):
        revisions(clone).fetch("gone")


def test_default_branch_of_a_clone_is_origins(origin: Repository, tmp_path: Path) -> None:
    origin.git("checkout", "--quiet", "-b", "develop")
    origin.commit({})
    assert revisions(origin.cloned(tmp_path / "clone")).default_branch() == "origin/develop"


def test_default_branch_without_origin_is_main_while_another_branch_is_checked_out(
    origin: Repository,
) -> None:
    origin.commit({})
    assert revisions(origin).default_branch() is None
    origin.branch("topic")
    assert revisions(origin).default_branch() == "main"


def test_info_has_the_merge_bases_and_distance_of_a_revision(origin: Repository) -> None:
    first = origin.commit({"a": "1"})
    origin.branch("topic")
    topic = origin.commit({"b": "1"})
    origin.checkout("main")
    second = origin.commit({"a": "2"})
    history = revisions(origin)
    assert history.info(first) == RevisionInfo(first, (first,), 1)
    assert history.info("topic") == RevisionInfo(topic, (first,), 1)
    assert history.info("HEAD") == RevisionInfo(second, (second,), 0)
    assert history.info("f" * 40) == RevisionInfo()
    assert history.info("--help") == RevisionInfo()
    assert history.info("HEAD:a") == RevisionInfo()


def test_branches_merged_into_each_other_have_two_merge_bases(origin: Repository) -> None:
    origin.commit({"base": ""})
    origin.branch("topic")
    topic = origin.commit({"topic": ""})
    origin.checkout("main")
    main = origin.commit({"main": ""})
    origin.merge(topic)
    origin.checkout("topic")
    origin.merge(main)
    origin.commit({"more": ""})
    assert set(revisions(origin).info("main").merge_bases) == {topic, main}


def test_parents_of_a_merge_are_in_order(origin: Repository) -> None:
    root = origin.commit({})
    assert revisions(origin).parents() == ()
    origin.branch("topic")
    topic = origin.commit({"a": ""})
    origin.checkout("main")
    origin.merge("topic")
    assert revisions(origin).parents() == (root, topic)


def test_rename_is_a_deleted_and_a_new_file(origin: Repository) -> None:
    text = "the same\n" * 50
    since = origin.commit({"kept": "", "changed": "1", "deleted": "", "old/name": text})
    origin.commit({"changed": "2", "deleted": None, "old/name": None, "new/ä name": text})
    found = revisions(origin).changed(since, uncommitted=False)
    assert found == {"changed": False, "deleted": True, "old/name": True, "new/ä name": False}


def test_git_settings_of_the_user_do_not_matter(origin: Repository) -> None:
    since = origin.commit({"old": "the same\n" * 50, "a/b": "1"})
    origin.commit({"old": None, "new": "the same\n" * 50, "a/b": "2"})
    for setting in ("diff.renames", "diff.relative", "diff.noprefix", "diff.mnemonicPrefix"):
        origin.git("config", setting, "true")
    origin.git("config", "diff.external", "false")
    found = GitRevisions(origin.root, print).changed(since, uncommitted=False)
    assert found == {"old": True, "new": False, "a/b": False}


def test_uncommitted_files_count_only_on_request(origin: Repository) -> None:
    since = origin.commit({"a": "1", "b": "1", "c": "1", ".gitignore": "dist/\n"})
    origin.write({"a": "2", "b": None, "new/d": "", "dist/e": ""})
    origin.write({"c": "2"})
    origin.git("add", "c")
    assert revisions(origin).changed(since, uncommitted=False) == {}
    assert revisions(origin).changed(since, uncommitted=True) == {
        "a": False,
        "b": True,
        "c": False,
        "new/d": False,
    }


def test_changed_file_mode_is_a_change(origin: Repository) -> None:
    since = origin.commit({"run": ""})
    (origin.root / "run").chmod(0o755)
    origin.commit({})
    assert revisions(origin).changed(since, uncommitted=False) == {"run": False}


def test_comparing_with_a_missing_revision_is_an_error(origin: Repository) -> None:
    origin.commit({})
    with pytest.raises(HistoryError, match="git diff"):
        revisions(origin).changed("f" * 40, uncommitted=False)


def test_text_is_read_from_revisions_and_from_the_folder(origin: Repository) -> None:
    since = origin.commit({"a/b": "1"})
    origin.commit({"a/b": "2"})
    origin.write({"a/b": "3"})
    read = revisions(origin)
    assert [read.text(each, "a/b") for each in (since, "HEAD", None)] == ["1", "2", "3"]
    assert [read.text(each, "a/c") for each in (since, "HEAD", None)] == ["", "", ""]


def test_revision_is_unpacked_while_the_context_lasts(origin: Repository) -> None:
    since = origin.commit({"a/b": "1", "run": ""})
    (origin.root / "run").chmod(0o755)
    later = origin.commit({"a/b": "2"})
    with revisions(origin).unpacked(since) as folder:
        assert (Path(folder) / "a/b").read_text() == "1"
    assert not Path(folder).exists()
    with revisions(origin).unpacked(later) as folder:
        assert (Path(folder) / "run").stat().st_mode & 0o100


def test_unpacking_a_missing_revision_is_an_error(origin: Repository) -> None:
    origin.commit({})
    with pytest.raises(HistoryError, match="git archive"), revisions(origin).unpacked("f" * 40):
        pass


def test_machine_without_git_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    problem = GitRevisions(tmp_path, print).complete()
    assert problem is not None
    assert "git can't be started" in problem


def test_files_of_a_revision_have_the_same_ids_as_those_of_the_folder(origin: Repository) -> None:
    head = origin.commit({"a.py": "1", "b/c d.txt": "2", "ü.md": "3"})
    (origin.root / "link").symlink_to("a.py")
    origin.git("add", "link")
    origin.git("commit", "-qm", "link")
    read = revisions(origin)
    assert set(read.ids(head)) < set(read.ids("HEAD"))
    assert read.ids("HEAD") == read.ids(None)
    assert read.contents("HEAD", ["b/c d.txt", "a.py"]) == {"b/c d.txt": b"2", "a.py": b"1"}
    assert read.contents(None, ["ü.md"]) == {"ü.md": b"3"}


def test_ids_of_the_folder_show_changed_new_and_deleted_files(origin: Repository) -> None:
    origin.commit({"changed": "1", "touched": "1", "deleted": "1", ".gitignore": "ignored\n"})
    before = revisions(origin).ids(None)
    (origin.root / "changed").write_text("2")
    (origin.root / "touched").write_text("1")
    (origin.root / "new").write_text("2")
    (origin.root / "ignored").write_text("2")
    (origin.root / "deleted").unlink()
    after = revisions(origin).ids(None)
    assert set(after) == {"changed", "touched", "new", ".gitignore"}
    assert after["touched"] == before["touched"]
    assert after["changed"] == after["new"] != before["changed"]


def test_a_name_with_a_line_break_is_refused(origin: Repository) -> None:
    head = origin.commit({"a\nb": "1"})
    with pytest.raises(HistoryError, match="line break"):
        revisions(origin).contents(head, ["a\nb"])


def test_content_that_the_revision_lacks_is_an_error(origin: Repository) -> None:
    head = origin.commit({"a": "1"})
    with pytest.raises(HistoryError, match="no object"):
        revisions(origin).contents(head, ["b"])
