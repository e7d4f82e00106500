"""Tells on which parts of a repository's files the target graph depends, so that a graph can be kept and found again.

Pants derives the graph from the names of all files, the content of those that describe targets, and the imports of
Python code. https://www.pantsbuild.org/v2.17/docs/how-does-pants-work#dependency-inference
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any


class Influence(StrEnum):
    """The part of a file on which the graph depends."""

    NAME = "name"
    IMPORTS = "imports"
    CONTENT = "content"


# Pants reads no dependencies from these. The content of any other file counts.
NAMES_ONLY = frozenset({".css", ".html", ".js", ".json", ".md", ".png", ".svg", ".yaml", ".yml"})


def influence_of(path: str, macros: Collection[str]) -> Influence:
    """Returns what counts of a file. `macros` are the patterns of macro and plugin files, which Pants executes."""
    file = PurePosixPath(path)
    if any(file.full_match(pattern) for pattern in macros):
        return Influence.CONTENT
    if file.suffix in NAMES_ONLY:
        return Influence.NAME
    # Code depends on the __init__.py files above it unless they are empty.
    if file.suffix == ".py" and file.name != "__init__.py":
        return Influence.IMPORTS
    return Influence.CONTENT


def infers_from_strings(settings: Mapping[str, Any]) -> bool:
    """Returns whether these settings of Pants infer dependencies from strings too, not only from imports."""
    inference = settings.get("python-infer", {})
    return bool(inference.get("string_imports") or inference.get("assets"))


def imports_of(source: str) -> str:
    """Returns the import statements of Python source with the statements around them, and Pants' pragmas.

    Inside `try` or `with`, an import can be optional. Source that can't be parsed or that imports by a call counts
    whole.
    """
    if "__import__" in source or "pkg_resources" in source:
        return source
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return source
    lines = source.splitlines()
    found = list(_imports(tree, lines, ()))
    pragmas = [line.strip() for line in lines if "pants:" in line]
    return "\n".join([*found, "", *pragmas])


def _imports(node: ast.AST, lines: list[str], around: tuple[str, ...]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            text = " ".join(lines[child.lineno - 1 : child.end_lineno])
            yield " ".join([*around, text.strip()])
        else:
            yield from _imports(child, lines, (*around, *_optional(child)))


def _optional(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Try | ast.TryStar):
        handled = (handler.type and ast.unparse(handler.type) for handler in node.handlers)
        yield f"try {[each or '' for each in handled]}"
    elif isinstance(node, ast.ExceptHandler):
        yield "except"
    elif isinstance(node, ast.With | ast.AsyncWith):
        yield f"with {[ast.unparse(item) for item in node.items]}"


def graph_key(settings: str, inputs: Iterable[tuple[str, str]]) -> str:
    """Returns the key of a graph: a hash of settings outside the repository, and of (path, what counts of the file)."""
    hashed = hashlib.sha256(settings.encode())
    for path, counted in sorted(inputs):
        hashed.update(f"\0{path}\0{counted}".encode(errors="surrogateescape"))
    return hashed.hexdigest()
