"""Follows a change through the graph of targets to all that it reaches; never asks Pants for it."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from deploy.core.ci.requirements_diff import Touched, project_of


@dataclass(frozen=True)
class Target:
    """A target as `pants peek` tells it; `sources` and `dependencies` are complete, inferred ones too."""

    address: str
    kind: str
    sources: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()


class Graph:
    """All targets of one state of the repository."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self.targets: Mapping[str, Target] = {each.address: each for each in targets}
        self._owners: dict[str, list[str]] = {}
        self._dependents: dict[str, list[str]] = {}
        for each in self.targets.values():
            for source in each.sources:
                self._owners.setdefault(source, []).append(each.address)
            for dependency in each.dependencies:
                self._dependents.setdefault(dependency, []).append(each.address)

    def __contains__(self, address: str) -> bool:
        return address in self.targets

    def owners(self, path: str) -> tuple[str, ...]:
        """The targets that a file belongs to; a BUILD file's are all at and below its folder.

        Below, because `__defaults__` and visibility rules hold there too.
        https://www.pantsbuild.org/v2.17/docs/targets#field-default-values
        """
        if not is_build_file(path):
            return tuple(self._owners.get(path, ()))
        folder = path.rpartition("/")[0]
        return tuple(each for each in self.targets if _lies_in(each, folder))

    def dependents(self, address: str) -> tuple[str, ...]:
        """The targets that depend on this one directly."""
        return tuple(self._dependents.get(address, ()))

    @cached_property
    def members(self) -> Mapping[str, frozenset[str]]:
        """The targets that each target generator (`python_tests`) stands for."""
        found: dict[str, set[str]] = {}
        for each in self.targets.values():
            generator = _generator_of(each)
            if generator != each.address and generator in self.targets:
                found.setdefault(generator, set()).add(each.address)
        return {generator: frozenset(members) for generator, members in found.items()}

    def requirements(self, path: str, projects: Collection[str]) -> tuple[str, ...]:
        """The requirement targets of these projects that a lock or requirements file feeds."""
        return tuple(
            address
            for address in self._users_of(path)
            if any(project_of(each) in projects for each in self.targets[address].requirements)
        )

    def feeds_requirements(self, path: str) -> bool:
        """Whether requirement targets depend on this file."""
        return any(True for _ in self._users_of(path))

    def is_lock(self, path: str) -> bool:
        """Whether a file is the lock of a resolve."""
        return any(self.targets[each].kind == "_lockfile" for each in self._owners.get(path, ()))

    def _users_of(self, path: str) -> Iterator[str]:
        for owner in self._owners.get(path, ()):
            for address in self.dependents(owner):
                if self.targets[address].kind == "python_requirement":
                    yield address


class Graphs(Protocol):
    """Where graphs come from."""

    def macros(self) -> tuple[str, ...]:
        """Returns the patterns of files that the build's settings name: macros and plugins."""
        ...

    def read(self, folder: str | None = None) -> Graph:
        """Returns the graph of the checkout, or of another state of it in a folder. Raises GraphError."""
        ...


@dataclass(frozen=True)
class Change:
    """A changed file; `touched` is set for a lock or a requirements file whose projects are known."""

    path: str
    gone: bool = False
    touched: Touched | None = None

    @property
    def needs_old_graph(self) -> bool:
        """Whether only the graph before the change knows all that depends on it."""
        return self.gone or is_build_file(self.path) or bool(self.touched and self.touched.gone)


@dataclass(frozen=True)
class Reached:
    """A target that a change reaches: the changed file, then the path of dependencies to the target."""

    address: str
    why: tuple[str, ...]
    direct: bool = False


def is_build_file(path: str) -> bool:
    """Whether Pants reads targets from this file."""
    name = path.rpartition("/")[2]
    return name == "BUILD" or name.startswith("BUILD.")


def explain(
    changes: Iterable[Change], graph: Graph, old_graph: Graph | None = None
) -> tuple[Reached, ...]:
    """Returns every target of `graph` that the changes reach, by address, each by a shortest path.

    What depended on a file that is gone is known to `old_graph` alone.
    """
    listed = sorted(changes, key=lambda change: change.path)
    ways: dict[str, tuple[str, ...]] = {}
    if old_graph is not None:
        starts = list(_starts(listed, old_graph, old=True))
        found = _spread(starts, old_graph)
        ways |= {address: why for address, why in found.items() if address in graph}
    starts = list(_starts(listed, graph, old=False))
    direct = {address for address, _ in starts}
    ways = _spread([*starts, *ways.items()], graph)
    return tuple(Reached(each, ways[each], each in direct) for each in sorted(ways))


def _starts(
    changes: Iterable[Change], graph: Graph, *, old: bool
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for change in changes:
        if old and not change.needs_old_graph:
            continue
        if change.touched is not None:
            projects = change.touched.gone if old else change.touched.there
            owners = graph.requirements(change.path, projects)
        else:
            owners = graph.owners(change.path)
        for owner in owners:
            yield owner, _way((change.path,), owner)


def _spread(
    starts: Iterable[tuple[str, tuple[str, ...]]], graph: Graph
) -> dict[str, tuple[str, ...]]:
    ways: dict[str, tuple[str, ...]] = {}
    left = [(len(why), why, address) for address, why in starts]
    heapq.heapify(left)
    while left:
        _, why, address = heapq.heappop(left)
        if address in ways:
            continue
        ways[address] = why
        for dependent in graph.dependents(address):
            if dependent not in ways:
                longer = _way(why, dependent)
                heapq.heappush(left, (len(longer), longer, dependent))
    return ways


def _way(why: tuple[str, ...], address: str) -> tuple[str, ...]:
    """Adds a step; a file's own target often bears the file's name, which is said once."""
    return why if why[-1] == address else (*why, address)


def _generator_of(target: Target) -> str:
    """Returns the address of a target's generator by the form of its own, which may not exist.

    https://www.pantsbuild.org/v2.17/docs/targets#target-generation
    """
    path, _, name = target.address.removeprefix("//").partition(":")
    if path not in target.sources:
        return target.address.partition("#")[0]
    folder = path.rpartition("/")[0]
    while name.startswith("../"):
        folder, name = folder.rpartition("/")[0], name.removeprefix("../")
    return f"{folder or '//'}:{name or folder.rpartition('/')[2]}"


def _lies_in(address: str, folder: str) -> bool:
    place = address.removeprefix("//").partition(":")[0].partition("#")[0]
    return not folder or place == folder or place.startswith(f"{folder}/")
