"""Tests of set-up: its progress, its question and the links to the tools."""

import io
import sys
from pathlib import Path

import pytest

from toolchain.errors import PersonNeededError
from toolchain.paths import find_paths
from toolchain.setup import (
    link_current,
    prepare,
    should_confirm,
)
from toolchain.tasks import Task
from toolchain.tools.toolset import Toolset


def tasks(done: list[str]) -> list[Task]:
    return [
        Task("Python", 27, 8, lambda: done.append("Python")),
        Task("Pants", 40, 12, lambda: done.append("Pants"), needs=("Python",)),
        Task("browser", 0, 5, lambda: done.append("browser"), needs=("Pants",), may_wait=True),
    ]


def test_progress_shows_the_tasks_their_number_and_the_time_left() -> None:
    done: list[str] = []
    out = io.StringIO()
    prepare(tasks(done), confirm=False, out=out)
    assert done == ["Python", "Pants", "browser"]
    assert out.getvalue().splitlines() == [
        "set-up: 3 tasks, 67 MB to download, about 25 s",
        "[0/3] Now: Python (about 25 s left)",
        "[1/3] Python: 0 s. Now: Pants (about 17 s left)",
        "[2/3] Pants: 0 s. Now: browser (about 5 s left)",
        "[3/3] browser: 0 s",
        "set-up took 0 s",
    ]


def test_tasks_that_may_wait_are_announced_and_left_to_the_verb(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    done: list[str] = []
    out = io.StringIO()
    prepare(tasks(done), confirm=True, out=out, defer=True)
    assert done == ["Python", "Pants"]
    assert "  browser\n3 tasks, 67 MB" in out.getvalue()
    assert "[2/2] Pants: 0 s\n" in out.getvalue()


def test_nothing_is_printed_without_tasks() -> None:
    out = io.StringIO()
    prepare([], confirm=True, out=out)
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("answer", "accepted"), [("y\n", True), ("\n", True), ("n\n", False), ("", False)]
)
def test_the_answer_decides_whether_set_up_runs(
    monkeypatch: pytest.MonkeyPatch, answer: str, accepted: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    done: list[str] = []
    out = io.StringIO()
    if accepted:
        prepare(tasks(done), confirm=True, out=out)
        assert len(done) == 3
    else:
        with pytest.raises(PersonNeededError, match="Nothing was changed"):
            prepare(tasks(done), confirm=True, out=out)
        assert done == []
    assert "3 tasks, 67 MB to download, about 25 s. Continue? [Y/n]" in out.getvalue()


def test_set_up_does_not_ask_in_ci_with_yes_or_without_a_terminal() -> None:
    assert not should_confirm(["--yes"], {})
    assert not should_confirm([], {"CI": "true"})
    assert not should_confirm([], {})  # pytest has no terminal on its stdin


def test_wrong_links_are_replaced_by_links_to_the_tools(tmp_path: Path) -> None:
    toolset = Toolset(find_paths({"HOME": str(tmp_path)}))
    current = toolset.paths.cache / "current"
    link_current(toolset)
    (current / "pex").unlink()
    (current / "pex").symlink_to("elsewhere")
    link_current(toolset)
    assert {path.name: path.readlink() for path in current.iterdir()} == toolset.current
