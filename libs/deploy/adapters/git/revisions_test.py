from pathlib import Path

import pytest

from deploy.adapters.git.revisions import GitRevisions
from deploy.core.ci.base_revision import Seen
from deploy.errors import HistoryError
from deploy.testing.repository import Repository


def revisions(repository: Repository) -> GitRevisions:
    return GitRevisions(repository.root, lambda text: None)


@pytest.fixture
def origin(tmp_path: Path) -> Repository:
    return Repository.made(tmp_path / "origin")


def test_a_folder_without_git_can_t_be_trusted(tmp_path: Path) -> None:
    trouble = GitRevisions(tmp_path, print).trouble()
    assert trouble.startswith("this is no git checkout: nothing says what changed")


def test_a_copy_inside_another_project_s_checkout_is_no_checkout(origin: Repository) -> None:
    origin.commit({"copy/pants.toml": ""})
    trouble = GitRevisions(origin.root / "copy", print).trouble()
    assert trouble == "this is no git checkout: nothing says what changed"


def test_a_checkout_without_a_commit_can_t_be_trusted(origin: Repository) -> None:
    assert revisions(origin).trouble().startswith("this is no git checkout")


def test_a_hook_s_variables_lead_nowhere(
    origin: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository.made(tmp_path / "other")
    other.commit({})
    head = origin.commit({"a": ""})
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    assert revisions(origin).trouble() == ""
    assert revisions(origin).see("HEAD").sha == head


def test_a_shallow_clone_is_completed_without_the_content_of_files(
    origin: Repository, tmp_path: Path
) -> None:
    first = origin.commit({"a.py": "old content"})
    for number in range(5):
        origin.commit({"a.py": str(number)})
    clone = origin.fetched(tmp_path / "clone", origin.head, depth=2)
    assert revisions(clone).see(first) == Seen()
    said: list[str] = []
    assert GitRevisions(clone.root, said.append).trouble() == ""
    assert said
    assert revisions(clone).see(first) == Seen(first, (first,), 5)
    missing = clone.git("rev-list", "--objects", "--missing=print", "HEAD")
    assert sum(line.startswith("?") for line in missing.splitlines()) == 4


def test_a_shallow_clone_that_can_t_be_completed_is_told(
    origin: Repository, tmp_path: Path
) -> None:
    for number in range(3):
        origin.commit({"a": str(number)})
    clone = origin.fetched(tmp_path / "clone", origin.head, depth=1)
    clone.git("remote", "set-url", "origin", str(tmp_path / "nowhere"))
    assert "shallow and can't be completed (git fetch ended with 128" in revisions(clone).trouble()


def test_a_branch_that_the_runner_left_out_is_fetched(origin: Repository, tmp_path: Path) -> None:
    began = origin.commit({"a": "1"})
    origin.branch("topic")
    head = origin.commit({"a": "2"})
    clone = origin.fetched(tmp_path / "clone", head)
    revisions(clone).fetch("main")
    assert revisions(clone).see("origin/main") == Seen(began, (began,), 1)


def test_a_branch_that_origin_has_not_is_told(origin: Repository, tmp_path: Path) -> None:
    clone = origin.fetched(tmp_path / "clone", origin.commit({}))
    with pytest.raises(HistoryError, match="git fetch"):
        revisions(clone).fetch("gone")


def test_a_person_s_clone_knows_its_trunk(origin: Repository, tmp_path: Path) -> None:
    origin.git("checkout", "--quiet", "-b", "develop")
    origin.commit({})
    assert revisions(origin.cloned(tmp_path / "clone")).trunk() == "origin/develop"


def test_without_origin_the_trunk_is_main_while_another_branch_is_out(origin: Repository) -> None:
    origin.commit({})
    assert revisions(origin).trunk() == ""
    origin.branch("topic")
    assert revisions(origin).trunk() == "main"


def test_a_revision_is_seen_as_git_knows_it(origin: Repository) -> None:
    first = origin.commit({"a": "1"})
    origin.branch("topic")
    topic = origin.commit({"b": "1"})
    origin.checkout("main")
    second = origin.commit({"a": "2"})
    seen = revisions(origin)
    assert seen.see(first) == Seen(first, (first,), 1)
    assert seen.see("topic") == Seen(topic, (first,), 1)
    assert seen.see("HEAD") == Seen(second, (second,), 0)
    assert seen.see("f" * 40) == Seen()
    assert seen.see("--help") == Seen()
    assert seen.see("HEAD:a") == Seen()


def test_branches_merged_crosswise_have_two_bases(origin: Repository) -> None:
    origin.commit({"base": ""})
    origin.branch("topic")
    topic = origin.commit({"topic": ""})
    origin.checkout("main")
    main = origin.commit({"main": ""})
    origin.merge(topic)
    origin.checkout("topic")
    origin.merge(main)
    origin.commit({"more": ""})
    assert set(revisions(origin).see("main").merge_bases) == {topic, main}


def test_a_merge_s_parents_are_told_in_order(origin: Repository) -> None:
    root = origin.commit({})
    assert revisions(origin).parents() == ()
    origin.branch("topic")
    topic = origin.commit({"a": ""})
    origin.checkout("main")
    origin.merge("topic")
    assert revisions(origin).parents() == (root, topic)


def test_a_change_is_what_differs_and_a_rename_is_two_files(origin: Repository) -> None:
    text = "the same\n" * 50
    since = origin.commit({"kept": "", "changed": "1", "deleted": "", "old/name": text})
    origin.commit({"changed": "2", "deleted": None, "old/name": None, "new/ä name": text})
    found = revisions(origin).changed(since, uncommitted=False)
    assert found == {"changed": False, "deleted": True, "old/name": True, "new/ä name": False}


def test_settings_of_the_user_hide_nothing(origin: Repository) -> None:
    since = origin.commit({"old": "the same\n" * 50, "a/b": "1"})
    origin.commit({"old": None, "new": "the same\n" * 50, "a/b": "2"})
    for setting in ("diff.renames", "diff.relative", "diff.noprefix", "diff.mnemonicPrefix"):
        origin.git("config", setting, "true")
    origin.git("config", "diff.external", "false")
    found = GitRevisions(origin.root, print).changed(since, uncommitted=False)
    assert found == {"old": True, "new": False, "a/b": False}


def test_what_is_not_committed_counts_only_where_it_should(origin: Repository) -> None:
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


def test_a_mode_alone_is_a_change(origin: Repository) -> None:
    since = origin.commit({"run": ""})
    (origin.root / "run").chmod(0o755)
    origin.commit({})
    assert revisions(origin).changed(since, uncommitted=False) == {"run": False}


def test_a_base_that_is_not_there_is_told(origin: Repository) -> None:
    origin.commit({})
    with pytest.raises(HistoryError, match="git diff"):
        revisions(origin).changed("f" * 40, uncommitted=False)


def test_a_file_is_read_as_it_was_and_as_it_lies_there(origin: Repository) -> None:
    since = origin.commit({"a/b": "1"})
    origin.commit({"a/b": "2"})
    origin.write({"a/b": "3"})
    read = revisions(origin)
    assert [read.text(each, "a/b") for each in (since, "HEAD", None)] == ["1", "2", "3"]
    assert [read.text(each, "a/c") for each in (since, "HEAD", None)] == ["", "", ""]


def test_a_tree_is_unpacked_and_goes(origin: Repository) -> None:
    since = origin.commit({"a/b": "1", "run": ""})
    (origin.root / "run").chmod(0o755)
    later = origin.commit({"a/b": "2"})
    with revisions(origin).tree(since) as folder:
        assert (Path(folder) / "a/b").read_text() == "1"
    assert not Path(folder).exists()
    with revisions(origin).tree(later) as folder:
        assert (Path(folder) / "run").stat().st_mode & 0o100


def test_a_tree_that_is_not_there_is_told(origin: Repository) -> None:
    origin.commit({})
    with pytest.raises(HistoryError, match="git archive"), revisions(origin).tree("f" * 40):
        pass


def test_a_machine_without_git_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git can't be started" in GitRevisions(tmp_path, print).trouble()
