"""Tests of set-up: who is asked, what is said, what an answer leads to."""

import io
import sys
from pathlib import Path

import pytest

from toolchain.errors import PersonNeededError
from toolchain.paths import find_places
from toolchain.progress import Task
from toolchain.setup import (
    link_current,
    prepare,
    should_ask,
)
from toolchain.tools.all import Chain


def tasks(done: list[str]) -> list[Task]:
    return [
        Task("Python", 27, 8, lambda: done.append("Python")),
        Task("Pants", 40, 12, lambda: done.append("Pants")),
        Task("engine", 0, 5, lambda: done.append("engine")),
    ]


def test_progress_says_what_how_far_and_how_long() -> None:
    done: list[str] = []
    out = io.StringIO()
    prepare(tasks(done), ask=False, out=out)
    assert done == ["Python", "Pants", "engine"]
    assert out.getvalue().splitlines() == [
        "[1/3] Python (27 MB), about 25 s left",
        "[2/3] Pants (40 MB), about 17 s left",
        "[3/3] engine, about 5 s left",
        "set up in 0 s",
    ]


def test_nothing_to_do_says_nothing() -> None:
    out = io.StringIO()
    prepare([], ask=True, out=out)
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("answer", "goes_on"), [("y\n", True), ("\n", True), ("n\n", False), ("", False)]
)
def test_a_person_decides(monkeypatch: pytest.MonkeyPatch, answer: str, goes_on: bool) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    done: list[str] = []
    out = io.StringIO()
    if goes_on:
        prepare(tasks(done), ask=True, out=out)
        assert len(done) == 3
    else:
        with pytest.raises(PersonNeededError, match="Nothing was changed"):
            prepare(tasks(done), ask=True, out=out)
        assert done == []
    assert "67 MB to download, about 25 s. Go on? [Y/n]" in out.getvalue()


def test_nobody_is_asked_in_ci_or_without_a_terminal(tmp_path: Path) -> None:
    assert not should_ask(["--yes"], {})
    assert not should_ask([], {"CI": "true"})
    assert not should_ask([], {})  # pytest has no terminal on its stdin


def test_the_fixed_names_follow_the_tools(tmp_path: Path) -> None:
    chain = Chain(find_places({"HOME": str(tmp_path)}))
    current = chain.places.cache / "current"
    link_current(chain)
    (current / "pex").unlink()
    (current / "pex").symlink_to("elsewhere")
    link_current(chain)
    assert {path.name: path.readlink() for path in current.iterdir()} == chain.current
