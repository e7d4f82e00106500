"""Decides what a change selects: targets by goal, services, images; never asks git or Pants.

What can't be known selects everything, with the reason: an error never means that less is tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from deploy.core.ci.base_revision import Base
from deploy.core.ci.pending_deploys import Due, all_due
from deploy.core.ci.target_graph import (
    Change,
    Graph,
    Reached,
    is_build_file,
)
from deploy.core.config import Service

GOALS = ("lint", "check", "test", "package")

EVERYTHING_FILES: Mapping[str, str] = {
    "pants.toml": "the build's settings",
    "pants.*.toml": "the build's settings",
    ".pants.*": "the build's settings",
    "pyproject.toml": "the settings of linters, type checker and tests",
    "BUILD": "the conventions of all BUILD files",
    "3rdparty/python/tools/**": "the tools that lint, check, test and package",
    ".gitlab-ci.yml": "the pipeline",
    ".gitlab/**": "the pipeline",
    ".gitattributes": "how files are checked out",
    ".gitignore": "which files the build sees",
    ".ci/**": "a wrapper script",
    "ship": "a wrapper script",
    "pants": "a wrapper script",
    "libs/toolchain/**": "what the wrapper scripts start",
    "deploy/*.yml": "what every release is made of",
    "deploy/nginx/**": "what every release is made of",
    "deploy/base/edge/**": "what every release is made of",
    "deploy/base/prometheus/**": "what every release is made of",
    "deploy/environments/**": "where every release goes",
    "deploy/known_hosts/**": "where every release goes",
}
"""What every target depends on without saying so, with what it is."""

DOCUMENTATION = ("docs/**", "**/*.md", "LICENSE")
"""What people read: it reaches the targets that own it. Any other file without an owner reaches everything."""

SOURCES = frozenset({"python_source", "python_test"})
LINTED = SOURCES | {"embedded_scripts", "grafana_dashboards"}
TESTS = frozenset({"python_test"})
PACKAGES = frozenset(
    {"archive", "docker_image", "pex_binary", "python_aws_lambda_function", "python_distribution"}
)
OF_NO_GOAL = frozenset({
    "_generator_sources_helper", "_lockfile", "_lockfiles", "file", "files", "pex_binaries", "python_requirement",
    "python_requirements", "python_sources", "python_test_utils", "python_tests", "relocated_files", "resource",
    "resources", "target",
})  # fmt: skip


@dataclass(frozen=True)
class Selected:
    """A target that a goal has to run on, and why."""

    address: str
    goal: str
    why: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """A service or an image, and why."""

    name: str
    why: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """What to run: targets by goal, services to deploy, images to publish. `mode` is changed or all.

    `reached` are the addresses behind `targets`, where a generator may stand for several. `deploys` are
    the services that are due, by environment.
    """

    mode: str
    base: str | None
    reason: str
    targets: tuple[Selected, ...] = ()
    services: tuple[Named, ...] = ()
    images: tuple[Named, ...] = ()
    reached: frozenset[str] = frozenset()
    deploys: Due = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {
            "mode": self.mode,
            "base": self.base,
            "reason": self.reason,
            "targets": [
                {"address": each.address, "goal": each.goal, "why": list(each.why)}
                for each in self.targets
            ],
            "services": [each.name for each in self.services],
            "images": [each.name for each in self.images],
            "deploys": {where: list(names) for where, names in self.deploys.items()},
        }


def select_all(
    base: str | None,
    reason: str,
    services: Iterable[Service],
    environments: Iterable[str] = (),
) -> Selection:
    """Selects everything, due in all environments."""
    why = (reason,)
    listed = sorted(services, key=lambda each: each.name)
    return Selection(
        "all",
        base,
        reason,
        tuple(Selected("::", goal, why) for goal in GOALS),
        tuple(Named(each.name, why) for each in listed),
        tuple(Named(each, why) for each in sorted({each.image for each in listed})),
        deploys=all_due(environments, (each.name for each in listed)),
    )


def select(
    base: Base, reached: Sequence[Reached], graph: Graph, services: Iterable[Service]
) -> Selection:
    """Selects what a change reaches: lint takes direct changes, the other goals dependents too."""
    ways = {each.address: each.why for each in reached}
    listed = sorted(services, key=lambda each: each.name)
    found = ((each, _way_to(each, ways, graph)) for each in listed)
    return Selection(
        "changed",
        base.revision,
        base.reason,
        tuple(each for goal in GOALS for each in _selected(goal, reached, graph)),
        tuple(Named(service.name, why) for service, why in found if why is not None),
        tuple(
            Named(each.address, each.why)
            for each in reached
            if graph.targets[each.address].kind == "docker_image"
        ),
        frozenset(ways),
    )


def _selected(goal: str, reached: Sequence[Reached], graph: Graph) -> list[Selected]:
    """Returns the targets for a goal; a generator stands for its targets where all of them are in."""
    ways = {
        each.address: each.why
        for each in reached
        if goal in goals_of(graph.targets[each.address].kind) and (each.direct or goal != "lint")
    }
    for generator, members in graph.members.items():
        if members <= ways.keys():
            shortest = min((ways.pop(each) for each in members), key=lambda way: (len(way), way))
            ways[generator] = (*shortest, generator)
    return [Selected(address, goal, ways[address]) for address in sorted(ways)]


def goals_of(kind: str) -> tuple[str, ...]:
    """Returns the goals that run on a kind of target: all of them on one that isn't known here."""
    if kind in OF_NO_GOAL:
        return ()
    known = {"lint": LINTED, "check": SOURCES, "test": TESTS, "package": PACKAGES}
    if not any(kind in kinds for kinds in known.values()):
        return GOALS
    return tuple(goal for goal in GOALS if kind in known[goal])


def missed(failed: Iterable[str], selection: Selection) -> tuple[str, ...]:
    """Returns the reports of failed tests that the selection for what broke them left out.

    `failed` are names of Pants' reports, `libs.a.b_test.py.tests` or `batch-of-FIRST+N-files`.
    """
    if selection.mode == "all":
        return ()
    selected = {_report_of(each) for each in selection.reached}
    firsts = {name: re.sub(r"^batch-of-(.*)\+\d+-files$", r"\1", name) for name in failed}
    return tuple(sorted(name for name, first in firsts.items() if first not in selected))


def _report_of(address: str) -> str:
    path, _, name = address.partition(":")
    above = "@" * name.count("../") or "."
    shown = f"{above}{name.replace('../', '')}" if name else ""
    return f"{path.replace('/', '.')}{shown}"


def everything_because(paths: Iterable[str], macros: Iterable[str] = ()) -> str | None:
    """Returns why the files that changed reach everything, None where they needn't; `macros` are patterns."""
    patterns = {**EVERYTHING_FILES, **dict.fromkeys(macros, "macros or plugins of BUILD files")}
    for path in sorted(paths):
        for pattern, what in patterns.items():
            if _matches(path, pattern):
                return f"{path} changed: {what}"
    return None


def everything_unless_owned(
    changes: Iterable[Change], graph: Graph, old_graph: Graph | None, services: Iterable[Service]
) -> str | None:
    """Returns why the graph can't say what these changes reach, None where it can."""
    for service in services:
        if service.image not in graph:
            return f"{service.image}, the image of {service.name}, is no target of the build"
    for change in changes:
        if is_build_file(change.path) or any(_matches(change.path, each) for each in DOCUMENTATION):
            continue
        owned = graph.owners(change.path)
        if change.gone and old_graph is not None:
            owned = old_graph.owners(change.path)
        if not owned:
            return f"{change.path} changed and belongs to no target: what it reaches is unknown"
        if graph.is_lock(change.path) and change.touched is None:
            used = graph.feeds_requirements(change.path)
            what = "in a way that names no pins" if used else "and a tool comes from it"
            return f"{change.path} changed, a lock, {what}"
    return None


def services_reached(
    reached: Iterable[Reached], graph: Graph, services: Iterable[Service]
) -> frozenset[str]:
    """Returns the names of the services among what was reached."""
    ways = {each.address: each.why for each in reached}
    return frozenset(each.name for each in services if _way_to(each, ways, graph) is not None)


def _way_to(
    service: Service, ways: Mapping[str, tuple[str, ...]], graph: Graph
) -> tuple[str, ...] | None:
    """Why a service is reached: by its image, or by what its settings belong to."""
    settings = graph.owners(f"services/{service.name}/service.toml")
    return next((ways[each] for each in (service.image, *settings) if each in ways), None)


def _matches(path: str, pattern: str) -> bool:
    return PurePosixPath(path).full_match(pattern)
