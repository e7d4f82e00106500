from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from deploy.adapters.pants.kept_graphs import IMPORTS, KeptTargetGraphs
from deploy.core.ci.target_graph import Target, TargetGraph
from deploy.errors import HistoryError

FILES = {
    "BUILD": "python_sources()",
    "a.py": "import b\nx = 1\n",
    "b.py": "y = 2\n",
    "page.html": "<p>",
}


@dataclass
class Repository:
    """The files of a checkout and a Pants that counts its calls."""

    files: dict[str, str] = field(default_factory=lambda: dict(FILES))
    texts: dict[str, str] = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)
    broken: bool = False
    changes_while_read: bool = False

    def ids(self, revision: str | None) -> Mapping[str, str]:
        if self.broken:
            raise HistoryError("git ls-files failed")
        return {path: f"id of {content}" for path, content in self.files.items()}

    def contents(self, revision: str | None, paths: list[str]) -> Mapping[str, bytes]:
        return {path: self.files[path].encode() for path in paths}

    def get(self, key: str) -> str | None:
        return self.texts.get(key)

    def put(self, key: str, text: str) -> None:
        self.texts[key] = text

    def macros(self) -> tuple[str, ...]:
        return ("plugins/**",)

    def read(self, revision: str | None = None) -> TargetGraph:
        self.asked.append(revision)
        if self.changes_while_read:
            self.files["BUILD"] += "\n"
        return TargetGraph([Target("a.py", "python_source", ("a.py",), ("b.py",))])

    def graphs(self, settings: str = "") -> KeptTargetGraphs:
        return KeptTargetGraphs(self, self, self, settings)


def test_a_kept_graph_is_read_without_pants() -> None:
    repository = Repository()
    first, second = repository.graphs().read(), repository.graphs().read("f" * 40)
    assert list(second.targets.values()) == list(first.targets.values())
    assert repository.asked == [None]


@pytest.mark.parametrize(
    ("path", "content"), [("a.py", "import b\nx = 3\n"), ("page.html", "<p>Hello")]
)
def test_a_change_that_no_dependency_comes_from_needs_no_pants(path: str, content: str) -> None:
    repository = Repository()
    repository.graphs().read()
    repository.files[path] = content
    repository.graphs().read()
    assert repository.asked == [None]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.py", "import c\nx = 1\n"),
        ("BUILD", "python_tests()"),
        ("new.py", ""),
        ("new.html", ""),
        ("plugins/rules.py", "x = 1"),
    ],
)
def test_any_other_change_asks_pants_again(path: str, content: str) -> None:
    repository = Repository()
    repository.graphs().read()
    repository.files[path] = content
    repository.graphs().read()
    assert repository.asked == [None, None]


def test_a_deleted_file_and_other_settings_ask_pants_again() -> None:
    repository = Repository()
    repository.graphs().read()
    repository.graphs("--tag=a").read()
    del repository.files["b.py"]
    repository.graphs().read()
    assert repository.asked == [None, None, None]


@pytest.mark.parametrize("damage", ["", "[", "[1]", "{}", "[{}]"])
def test_a_damaged_cache_is_read_again(damage: str) -> None:
    repository = Repository()
    repository.graphs().read()
    repository.texts = dict.fromkeys(repository.texts, damage)
    assert "a.py" in repository.graphs().read()
    assert repository.asked == [None, None]


def test_without_git_pants_is_asked_each_time() -> None:
    repository = Repository(broken=True)
    repository.graphs().read()
    repository.graphs().read()
    assert repository.asked == [None, None]
    assert repository.texts == {}


def test_a_graph_of_files_that_changed_meanwhile_is_not_kept() -> None:
    repository = Repository(changes_while_read=True)
    repository.graphs().read()
    assert set(repository.texts) == {IMPORTS}
