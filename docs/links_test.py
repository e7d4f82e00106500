"""Checks that the pages' links lead to files and headings, and that the paths they name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "services").is_dir())
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / name for name in ("deploy/base/README.md", "observability/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FOLDERS = ("3rdparty", "bench", "deploy", "docs", "e2e", "libs", "observability", "services")
"""A path in backticks that begins with one of these is a path from the root of the checkout."""

SHORT_FOLDERS = ("adapters", "cli", "core", "run", "testing")
"""Pages name the folders of the deploy library without `libs/deploy/`."""

ON_HOSTS = "services/NAME/"
"""Below this are folders of a host, not of the checkout."""

FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join((*FOLDERS, *SHORT_FOLDERS))})/[\w.*/{{}},$-]*")
PLACEHOLDER = re.compile(r"\$?\b(?!README)[A-Z]{2,}\b")


def prose(text: str) -> str:
    """Returns a page's text without its fenced blocks."""
    return FENCED.sub("", text)


def links(text: str) -> Iterator[str]:
    """Yields the targets of all links but those to other sites."""
    for match in LINK.finditer(prose(text)):
        if not re.match(r"\w+:", match[1]):
            yield match[1]


def anchors(text: str) -> set[str]:
    """Returns the anchors of a page's headings, as GitLab and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def paths(text: str) -> Iterator[str]:
    """Yields the paths in backticks, as globs: braces are expanded, and a name such as NAME stands for any."""
    for code in CODE.finditer(prose(text)):
        for match in PATH.finditer(code[1]):
            path = match[0].rstrip(".,/")
            if not path.startswith(ON_HOSTS):
                yield from (PLACEHOLDER.sub("*", each) for each in _expand(path))


def _expand(path: str) -> Iterator[str]:
    if (braces := re.search(r"\{([^{}]*)\}", path)) is None:
        yield path
        return
    for choice in braces[1].split(","):
        yield from _expand(path[: braces.start()] + choice + path[braces.end() :])


def broken_links(page: Path, text: str) -> list[str]:
    """Returns the links to a file or heading that doesn't exist."""
    return [link for link in links(text) if not _leads_somewhere(page, text, link)]


def _leads_somewhere(page: Path, text: str, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target.read_text(encoding="utf-8") if path else text)


def missing_paths(text: str) -> list[str]:
    """Returns the paths in backticks that match no file or folder."""
    return [path for path in paths(text) if not any(_base(path).glob(path))]


def _base(path: str) -> Path:
    return ROOT / "libs" / "deploy" if path.startswith(SHORT_FOLDERS) else ROOT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_paths_of_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert broken_links(page, text) == []
    assert missing_paths(text) == []


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](architecture.md), [b](adr), [c](https://example.org/x)", []),
        (
            "[a](architecture.md#the-folders) [b](architecture.md#what-a-replica-gets-and-answers)",
            [],
        ),
        ("[a](nowhere.md)", ["nowhere.md"]),
        ("[a](architecture.md#nowhere)", ["architecture.md#nowhere"]),
        ("## A part, b\n[a](#a-part-b) [b](#c)", ["#c"]),
    ],
)
def test_a_link_to_a_missing_file_or_heading_is_found(text: str, broken: list[str]) -> None:
    assert broken_links(ROOT / "docs" / "page.md", text) == broken


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (
            "`libs/deploy/core/config.py`, `core/config.py`, `libs/deploy::`, `./pants test e2e:gate`",
            [],
        ),
        ("`docs/{gate,secrets}.md` and `deploy/base/NAME/recipe.toml` and `e2e/*_test.py`", []),
        ("`services/NAME/hold.json` is a file of a host", []),
        ("```sh\ncat libs/nothing.py\n```", []),
        ("run `libs/nothing.py`", ["libs/nothing.py"]),
        ("`core/{config,nothing}.py`", ["core/nothing.py"]),
        ("`./pants test libs/nothing::`", ["libs/nothing"]),
    ],
)
def test_a_path_that_does_not_exist_is_found(text: str, missing: list[str]) -> None:
    assert missing_paths(text) == missing
