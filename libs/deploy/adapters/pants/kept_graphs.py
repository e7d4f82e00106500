"""Keeps target graphs in a cache, so that Pants runs only if something changed that the graph depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Protocol

from deploy.core.ci.graph_inputs import Influence, graph_key, imports_of, influence_of
from deploy.core.ci.target_graph import TargetGraph, TargetGraphs, dump_graph, load_graph
from deploy.errors import HistoryError

FORMAT = "2"
"""To be raised when the key or the form of a kept graph changes."""

IMPORTS = "imports"
MAX_KEPT_IMPORTS = 20_000


class RepositoryFiles(Protocol):
    """The files of a revision, or (None) of the checkout's folder. Its methods raise HistoryError."""

    def ids(self, revision: str | None) -> Mapping[str, str]:
        """Returns an identifier of each file's content by path."""
        ...

    def contents(self, revision: str | None, paths: list[str]) -> Mapping[str, bytes]:
        """Returns the content of these files by path."""
        ...


class Cache(Protocol):
    """Texts by key."""

    def get(self, key: str) -> str | None:
        """Returns the text under a key, None if there is none."""
        ...

    def put(self, key: str, text: str) -> None:
        """Stores a text under a key."""
        ...


class KeptTargetGraphs:
    """Target graphs from a cache, else from `graphs`.

    `settings` are the settings of Pants that no file of the repository has.
    """

    def __init__(
        self, graphs: TargetGraphs, files: RepositoryFiles, cache: Cache, settings: str
    ) -> None:
        self._graphs = graphs
        self._files = files
        self._cache = cache
        self._settings = f"{FORMAT}\0{settings}"

    def macros(self) -> tuple[str, ...]:
        """Returns the patterns of macro and plugin files."""
        return self._graphs.macros()

    def read(self, revision: str | None = None) -> TargetGraph:
        """Returns the graph of the checkout or of another revision. Raises GraphError."""
        key = self._key(revision)
        if key is None:
            return self._graphs.read(revision)
        kept = load_graph(self._cache.get(key) or "")
        if kept is not None:
            return kept
        graph = self._graphs.read(revision)
        # Files that changed while Pants read them belong to another key.
        if self._key(revision) == key:
            self._cache.put(key, dump_graph(graph))
        return graph

    def _key(self, revision: str | None) -> str | None:
        """Returns the key of a graph, None if git can't list the files."""
        macros = self.macros()
        try:
            ids = self._files.ids(revision)
            influences = {path: influence_of(path, macros) for path in ids}
            code = {path: ids[path] for path in ids if influences[path] is Influence.IMPORTS}
            imports = self._imports(revision, code)
        except HistoryError:
            return None

        def counted(path: str) -> str:
            match influences[path]:
                case Influence.NAME:
                    return ""
                case Influence.IMPORTS:
                    return imports[ids[path]]
                case Influence.CONTENT:
                    return ids[path]

        return graph_key(self._settings, ((path, counted(path)) for path in ids))

    def _imports(self, revision: str | None, code: Mapping[str, str]) -> dict[str, str]:
        """Returns a hash of the imports of each Python file by the identifier of its content."""
        known = _texts_of(self._cache.get(IMPORTS))
        missing = {identity: path for path, identity in code.items() if identity not in known}
        if not missing:
            return known
        for path, content in self._files.contents(revision, sorted(missing.values())).items():
            imports = imports_of(content.decode(errors="surrogateescape"))
            known[code[path]] = hashlib.sha256(imports.encode(errors="surrogateescape")).hexdigest()
        used = set(code.values())
        old = [identity for identity in known if identity not in used]
        for identity in old[: max(0, len(known) - MAX_KEPT_IMPORTS)]:
            del known[identity]
        self._cache.put(IMPORTS, json.dumps(known))
        return known


def _texts_of(text: str | None) -> dict[str, str]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        return {}
    return found
