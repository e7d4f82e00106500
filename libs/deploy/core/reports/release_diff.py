"""Compares the records of two releases for people: settings, compose text, commits.

Records contain no secrets that the tool knows of, but a variable in `env` may be one all the same: of those that the
service doesn't mark as public, only the names are shown.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.core.state.release import Release

HIDDEN, OTHER = "set", "set to another value"
"""What stands for the value of a variable that isn't public: before, or alone, and after a change."""

_SET_BY_SHIP = ("RELEASE", "REVISION", "CONFIG_HASH", "REPLICA")


@dataclass(frozen=True)
class Change:
    """A setting and its values before and after, "" where it wasn't set."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Commit:
    """A commit between two releases."""

    revision: str
    when: str
    who: str
    subject: str


def changes(old: Release, new: Release) -> tuple[Change, ...]:
    """Returns the settings that differ (image, number of replicas, route, environment, limits), sorted by name."""
    before, after = _settings(old), _settings(new)
    return tuple(
        _change(name, before.get(name), after.get(name), old, new)
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _change(name: str, before: str | None, after: str | None, old: Release, new: Release) -> Change:
    kind, _, variable = name.partition(" ")
    if kind == "env":
        if before is not None and variable not in old.public_env:
            before = HIDDEN
        if after is not None and variable not in new.public_env:
            after = HIDDEN if before is None else OTHER
    return Change(name, before or "", after or "")


def replica_diff(old: Release, new: Release) -> tuple[str, ...]:
    """Returns the differences of replica.yml as lines of a unified diff."""
    return tuple(
        difflib.unified_diff(
            old.replica.splitlines(), new.replica.splitlines(), old.id, new.id, lineterm="", n=1
        )
    )


def _settings(release: Release) -> Mapping[str, str]:
    settings = {
        "image": release.image.rpartition("@")[2][:19],
        "replicas": str(release.replicas),
        "route": f"{release.route.host or '*'}{release.route.path}",
    }
    try:
        document: dict[str, Any] = json.loads(release.compose.replace("$$", "$"))
        replica = next(iter(document["services"].values()))
    except (ValueError, KeyError, StopIteration, AttributeError, RecursionError):
        return settings
    environment = replica.get("environment", {})
    settings |= {f"env {key}": str(v) for key, v in environment.items() if key not in _SET_BY_SHIP}
    settings |= {"memory": str(replica.get("mem_limit", ""))}
    settings |= {
        f"health {k}": str(v) for k, v in replica.get("healthcheck", {}).items() if k != "test"
    }
    return settings
