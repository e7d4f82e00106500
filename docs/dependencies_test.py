"""Compares docs/dependencies.md with the files that declare the dependencies."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

ROOT = next(folder for folder in Path(__file__).parents if (folder / "3rdparty").is_dir())
PAGE = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")


def rows_of(section: str, page: str = PAGE) -> list[tuple[str, ...]]:
    """Returns the cells of a section's table without the heading, backticks removed."""
    _, found, rest = page.partition(f"\n## {section}\n")
    assert found, f"no section {section!r}"
    lines = re.findall(r"^\| (.+) \|$", rest.partition("\n## ")[0], re.MULTILINE)
    return [tuple(cell.replace("`", "") for cell in line.split(" | ")) for line in lines[1:]]


def requirements_in(file: Path) -> list[str]:
    """Returns the requirements of a file, extras included, without versions."""
    lines = (
        line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").split("\n")
    )
    return [line.partition("==")[0] for line in lines if line]


def test_the_page_names_each_python_requirement_once_and_no_other() -> None:
    declared = requirements_in(ROOT / "3rdparty" / "python" / "requirements.txt")
    assert sorted(name for name, *_ in rows_of("Python packages")) == sorted(declared)


def test_the_page_names_each_tool_with_its_file() -> None:
    files = sorted((ROOT / "3rdparty" / "python" / "tools").glob("*.txt"))
    declared = [(name, file.name) for file in files for name in requirements_in(file)]
    rows = [(name, file) for name, file, _ in rows_of("Tools from PyPI")]
    assert sorted(rows) == sorted(declared)


def test_the_page_names_each_node_package() -> None:
    text = (ROOT / "3rdparty" / "node" / "package.json").read_text(encoding="utf-8")
    assert [name for name, _ in rows_of("Node packages")] == sorted(
        json.loads(text)["dependencies"]
    )


def test_the_page_names_each_debian_package_with_its_base_images() -> None:
    declared: dict[str, list[str]] = {}
    for recipe in sorted((ROOT / "deploy" / "base").glob("*/recipe.toml")):
        for package in tomllib.loads(recipe.read_text(encoding="utf-8"))["packages"]:
            declared.setdefault(package, []).append(recipe.parent.name)
    rows = [(name, images) for name, images, _ in rows_of("Debian packages of the base images")]
    assert rows == [(name, ", ".join(images)) for name, images in sorted(declared.items())]


def test_each_row_gives_a_reason() -> None:
    sections = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert [row for section in sections for row in rows_of(section) if not row[-1].strip()] == []


def test_a_row_is_read_with_its_cells() -> None:
    page = (
        "\n## One\n\n| package | why |\n|---|---|\n| `a[x]` | first |\n\n## Two\n\n| b | second |\n"
    )
    assert rows_of("One", page) == [("a[x]", "first")]
