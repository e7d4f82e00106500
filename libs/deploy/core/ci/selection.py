"""Selects what to run for a change: targets by goal, services, images.

If something is unknown, everything is selected, with the reason, so that an error never means fewer tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from deploy.core.ci.base_revision import Base
from deploy.core.ci.pending_deploys import PendingDeploys, all_pending
from deploy.core.ci.target_graph import (
    FileChange,
    ReachedTarget,
    TargetGraph,
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
    "libs/toolchain/**": "the program behind the wrapper scripts",
    "deploy/*.yml": "what every release is made of",
    "deploy/nginx/**": "what every release is made of",
    "deploy/base/edge/**": "what every release is made of",
    "deploy/base/prometheus/**": "what every release is made of",
    "deploy/environments/**": "where every release goes",
    "deploy/known_hosts/**": "where every release goes",
}
"""Files on which every target depends without declaring it, with what they are."""

DOCUMENTATION = ("docs/**", "**/*.md", "LICENSE")
"""Documentation may belong to no target. Any other file that belongs to no target selects everything."""

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


UNTYPED = (".css", ".html", ".ico", ".jpg", ".js", ".md", ".png", ".svg")
"""Suffixes of files that the type checker doesn't read. Some are dependencies of code."""


class Mode(StrEnum):
    """Whether a selection depends on a change or contains everything."""

    CHANGED = "changed"
    ALL = "all"


@dataclass(frozen=True)
class SelectedTarget:
    """A target to run a goal on, and the chain of files and targets that leads to it."""

    address: str
    goal: str
    why: tuple[str, ...]


@dataclass(frozen=True)
class SelectedName:
    """A service or an image, and the chain of files and targets that leads to it."""

    name: str
    why: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """What to run: targets by goal, services to deploy, images to publish.

    `reached` are all affected addresses, whereas in `targets` a generator can stand for several. `deploys` are the
    pending services by environment.
    """

    mode: Mode
    base: str | None
    reason: str
    targets: tuple[SelectedTarget, ...] = ()
    services: tuple[SelectedName, ...] = ()
    images: tuple[SelectedName, ...] = ()
    reached: frozenset[str] = frozenset()
    deploys: PendingDeploys = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Returns the JSON document of `ship affected`."""
        return {
            "mode": self.mode.value,
            "base": self.base,
            "reason": self.reason,
            "targets": [
                {"address": target.address, "goal": target.goal, "why": list(target.why)}
                for target in self.targets
            ],
            "services": [service.name for service in self.services],
            "images": [image.name for image in self.images],
            "deploys": {name: list(services) for name, services in self.deploys.items()},
        }


def select_all(
    base: str | None,
    reason: str,
    services: Iterable[Service],
    environments: Iterable[str] = (),
) -> Selection:
    """Selects everything; every service is pending in all environments."""
    why = (reason,)
    listed = sorted(services, key=lambda service: service.name)
    return Selection(
        Mode.ALL,
        base,
        reason,
        tuple(SelectedTarget("::", goal, why) for goal in GOALS),
        tuple(SelectedName(service.name, why) for service in listed),
        tuple(SelectedName(image, why) for image in sorted({each.image for each in listed})),
        deploys=all_pending(environments, (service.name for service in listed)),
    )


def select(
    base: Base, reached: Sequence[ReachedTarget], graph: TargetGraph, services: Iterable[Service]
) -> Selection:
    """Selects what a change affects: for lint the changed files' targets, for the other goals their dependents too.

    Types are checked unless only files changed that the type checker doesn't read.
    """
    changed = [target.why[0] for target in reached if target.direct]
    untyped = all(path.endswith(UNTYPED) for path in changed)
    goals = [goal for goal in GOALS if goal != "check" or not untyped]
    chains = {target.address: target.why for target in reached}
    listed = sorted(services, key=lambda service: service.name)
    found = ((service, _chain_to(service, chains, graph)) for service in listed)
    return Selection(
        Mode.CHANGED,
        base.revision,
        base.reason,
        tuple(target for goal in goals for target in _selected(goal, reached, graph)),
        tuple(SelectedName(service.name, why) for service, why in found if why is not None),
        tuple(
            SelectedName(target.address, target.why)
            for target in reached
            if graph.targets[target.address].kind == "docker_image"
        ),
        frozenset(chains),
    )


def _selected(
    goal: str, reached: Sequence[ReachedTarget], graph: TargetGraph
) -> list[SelectedTarget]:
    """Returns the targets for a goal. If all targets of a generator are selected, the generator replaces them."""
    chains = {
        target.address: target.why
        for target in reached
        if goal in goals_of(graph.targets[target.address].kind)
        and (target.direct or goal != "lint")
    }
    for generator, members in graph.members.items():
        if members <= chains.keys():
            removed = (chains.pop(member) for member in members)
            shortest = min(removed, key=lambda chain: (len(chain), chain))
            chains[generator] = (*shortest, generator)
    return [SelectedTarget(address, goal, chains[address]) for address in sorted(chains)]


def goals_of(kind: str) -> tuple[str, ...]:
    """Returns the goals that run on a kind of target: all goals for an unknown kind."""
    if kind in OF_NO_GOAL:
        return ()
    known = {"lint": LINTED, "check": SOURCES, "test": TESTS, "package": PACKAGES}
    if not any(kind in kinds for kinds in known.values()):
        return GOALS
    return tuple(goal for goal in GOALS if kind in known[goal])


def missed_tests(failed: Iterable[str], selection: Selection) -> tuple[str, ...]:
    """Returns the failed test files, as paths, that the selection left out."""
    if selection.mode is Mode.ALL:
        return ()
    selected = {address.partition(":")[0] for address in selection.reached}
    return tuple(sorted(set(failed) - selected))


def reason_to_select_all(paths: Iterable[str], macros: Iterable[str] = ()) -> str | None:
    """Returns why the changed files select everything, None if they don't. `macros` are patterns of macro files."""
    patterns = {**EVERYTHING_FILES, **dict.fromkeys(macros, "macros or plugins of BUILD files")}
    for path in sorted(paths):
        for pattern, what in patterns.items():
            if _matches(path, pattern):
                return f"{path} changed: {what}"
    return None


def reason_graph_cannot_tell(
    changes: Iterable[FileChange],
    graph: TargetGraph,
    old_graph: TargetGraph | None,
    services: Iterable[Service],
) -> str | None:
    """Returns why the graph can't tell what these changes affect, None if it can."""
    for service in services:
        if service.image not in graph:
            return f"{service.image}, the image of {service.name}, is not a target of the build"
    for change in changes:
        if is_build_file(change.path) or any(
            _matches(change.path, pattern) for pattern in DOCUMENTATION
        ):
            continue
        owners = graph.owners(change.path)
        if change.deleted and old_graph is not None:
            owners = old_graph.owners(change.path)
        if not owners:
            return f"{change.path} changed and belongs to no target, so what it affects is unknown"
        if graph.is_lock(change.path) and change.requirements is None:
            if graph.feeds_requirements(change.path):
                return f"{change.path} changed: a lock whose changed pins are unknown"
            return f"{change.path} changed: the lock of a tool"
    return None


def services_reached(
    reached: Iterable[ReachedTarget], graph: TargetGraph, services: Iterable[Service]
) -> frozenset[str]:
    """Returns the names of the services among the affected targets."""
    chains = {target.address: target.why for target in reached}
    return frozenset(
        service.name for service in services if _chain_to(service, chains, graph) is not None
    )


def _chain_to(
    service: Service, chains: Mapping[str, tuple[str, ...]], graph: TargetGraph
) -> tuple[str, ...] | None:
    """Returns the chain to a service's image or to the target of its service.toml, None if it is not affected."""
    settings = graph.owners(f"services/{service.name}/service.toml")
    addresses = (service.image, *settings)
    return next((chains[address] for address in addresses if address in chains), None)


def _matches(path: str, pattern: str) -> bool:
    return PurePosixPath(path).full_match(pattern)
