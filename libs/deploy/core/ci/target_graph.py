"""The graph of build targets, and the targets that a change affects."""

from __future__ import annotations

import heapq
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Protocol

from deploy.core.ci.requirements_diff import RequirementsDiff, project_of


@dataclass(frozen=True)
class Target:
    """A target as `pants peek` prints it. `dependencies` include the inferred ones."""

    address: str
    kind: str
    sources: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()


class TargetGraph:
    """All targets of a revision of the repository."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self.targets: Mapping[str, Target] = {target.address: target for target in targets}
        self._owners: dict[str, list[str]] = {}
        self._dependents: dict[str, list[str]] = {}
        for target in self.targets.values():
            for source in target.sources:
                self._owners.setdefault(source, []).append(target.address)
            for dependency in target.dependencies:
                self._dependents.setdefault(dependency, []).append(target.address)

    def __contains__(self, address: str) -> bool:
        return address in self.targets

    def owners(self, path: str) -> tuple[str, ...]:
        """Returns the targets that a file belongs to.

        A BUILD file belongs to all targets in and below its folder, where its defaults and visibility rules apply.
        https://www.pantsbuild.org/v2.17/docs/targets#field-default-values
        """
        if not is_build_file(path):
            return tuple(self._owners.get(path, ()))
        folder = path.rpartition("/")[0]
        return tuple(address for address in self.targets if _is_in(address, folder))

    def dependents(self, address: str) -> tuple[str, ...]:
        """Returns the targets that depend on this one directly."""
        return tuple(self._dependents.get(address, ()))

    @cached_property
    def members(self) -> Mapping[str, frozenset[str]]:
        """The targets that each target generator, such as `python_tests`, generates."""
        found: dict[str, set[str]] = {}
        for target in self.targets.values():
            generator = _generator_of(target)
            if generator != target.address and generator in self.targets:
                found.setdefault(generator, set()).add(target.address)
        return {generator: frozenset(members) for generator, members in found.items()}

    def requirements(self, path: str, projects: Collection[str]) -> tuple[str, ...]:
        """Returns the requirement targets of these projects that depend on a lock or requirements file."""
        return tuple(
            address
            for address in self._users_of(path)
            if any(
                project_of(requirement) in projects
                for requirement in self.targets[address].requirements
            )
        )

    def feeds_requirements(self, path: str) -> bool:
        """Returns whether requirement targets depend on this file."""
        return any(True for _ in self._users_of(path))

    def is_lock(self, path: str) -> bool:
        """Returns whether a file is the lock of a resolve."""
        return any(self.targets[owner].kind == "_lockfile" for owner in self._owners.get(path, ()))

    def _users_of(self, path: str) -> Iterator[str]:
        for owner in self._owners.get(path, ()):
            for address in self.dependents(owner):
                if self.targets[address].kind == "python_requirement":
                    yield address


class TargetGraphs(Protocol):
    """The source of target graphs."""

    def macros(self) -> tuple[str, ...]:
        """Returns the patterns of the macro and plugin files that the build's settings name."""
        ...

    def read(self, revision: str | None = None) -> TargetGraph:
        """Returns the graph of the checkout or of another revision. Raises GraphError or HistoryError."""
        ...


def dump_graph(graph: TargetGraph) -> str:
    """Returns a graph as text."""
    return json.dumps([asdict(target) for target in graph.targets.values()])


def load_graph(text: str) -> TargetGraph | None:
    """Returns the graph that `dump_graph` wrote, None for another text."""
    try:
        targets = [_loaded(**found) for found in list(json.loads(text))]
    except (ValueError, TypeError):
        return None
    return TargetGraph(targets) if targets else None


def _loaded(
    address: str,
    kind: str,
    sources: list[str],
    dependencies: list[str],
    requirements: list[str],
) -> Target:
    return Target(address, kind, tuple(sources), tuple(dependencies), tuple(requirements))


@dataclass(frozen=True)
class FileChange:
    """A changed file. `requirements` is set for a lock or requirements file whose differences are known."""

    path: str
    deleted: bool = False
    requirements: RequirementsDiff | None = None

    @property
    def needs_old_graph(self) -> bool:
        """Whether some dependents are only in the graph before the change."""
        removed = self.requirements is not None and bool(self.requirements.removed)
        return self.deleted or is_build_file(self.path) or removed


@dataclass(frozen=True)
class ReachedTarget:
    """A target that a change affects. `why` is the changed file, then the chain of dependents to the target.

    `direct` is whether the file belongs to the target.
    """

    address: str
    why: tuple[str, ...]
    direct: bool = False


def is_build_file(path: str) -> bool:
    """Returns whether Pants reads targets from this file."""
    name = path.rpartition("/")[2]
    return name == "BUILD" or name.startswith("BUILD.")


def reached_targets(
    changes: Iterable[FileChange], graph: TargetGraph, old_graph: TargetGraph | None = None
) -> tuple[ReachedTarget, ...]:
    """Returns every target of `graph` that the changes affect, sorted by address, each with a shortest chain.

    `old_graph` is the graph before the change; only it has the dependents of deleted files.
    """
    listed = sorted(changes, key=lambda change: change.path)
    chains: dict[str, tuple[str, ...]] = {}
    if old_graph is not None:
        starts = list(_starts(listed, old_graph, old=True))
        found = _shortest_chains(starts, old_graph)
        chains |= {address: why for address, why in found.items() if address in graph}
    starts = list(_starts(listed, graph, old=False))
    direct = {address for address, _ in starts}
    chains = _shortest_chains([*starts, *chains.items()], graph)
    return tuple(
        ReachedTarget(address, chains[address], address in direct) for address in sorted(chains)
    )


def _starts(
    changes: Iterable[FileChange], graph: TargetGraph, *, old: bool
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for change in changes:
        if old and not change.needs_old_graph:
            continue
        if change.requirements is not None:
            diff = change.requirements
            projects = diff.removed if old else diff.changed
            owners = graph.requirements(change.path, projects)
        else:
            owners = graph.owners(change.path)
        for owner in owners:
            yield owner, _chain((change.path,), owner)


def _shortest_chains(
    starts: Iterable[tuple[str, tuple[str, ...]]], graph: TargetGraph
) -> dict[str, tuple[str, ...]]:
    chains: dict[str, tuple[str, ...]] = {}
    left = [(len(why), why, address) for address, why in starts]
    heapq.heapify(left)
    while left:
        _, why, address = heapq.heappop(left)
        if address in chains:
            continue
        chains[address] = why
        for dependent in graph.dependents(address):
            if dependent not in chains:
                longer = _chain(why, dependent)
                heapq.heappush(left, (len(longer), longer, dependent))
    return chains


def _chain(why: tuple[str, ...], address: str) -> tuple[str, ...]:
    """Appends a target. A file's own target often has the file's name, which is listed once."""
    return why if why[-1] == address else (*why, address)


def _generator_of(target: Target) -> str:
    """Derives the address of a target's generator from the target's own; there may be no such generator.

    https://www.pantsbuild.org/v2.17/docs/targets#target-generation
    """
    path, _, name = target.address.removeprefix("//").partition(":")
    if path not in target.sources:
        return target.address.partition("#")[0]
    folder = path.rpartition("/")[0]
    while name.startswith("../"):
        folder, name = folder.rpartition("/")[0], name.removeprefix("../")
    return f"{folder or '//'}:{name or folder.rpartition('/')[2]}"


def _is_in(address: str, folder: str) -> bool:
    path = address.removeprefix("//").partition(":")[0].partition("#")[0]
    return not folder or path == folder or path.startswith(f"{folder}/")
