"""What differs between two releases' records, as lines for people; never reads a record, never shows a secret."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.core.state.release import Release

_OURS = ("RELEASE", "REVISION", "CONFIG_HASH", "REPLICA")


@dataclass(frozen=True)
class Change:
    """One setting: its name, and its value before and after ("" where there is none)."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Commit:
    """A commit between two releases: its id, when and by whom, its subject."""

    revision: str
    when: str
    who: str
    subject: str


def changes(old: Release, new: Release) -> tuple[Change, ...]:
    """Returns every setting of a replica, of the image and of the scale that differs, by name."""
    before, after = _settings(old), _settings(new)
    return tuple(
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def replica_diff(old: Release, new: Release) -> tuple[str, ...]:
    """Returns how replica.yml differs, as a unified diff."""
    return tuple(
        difflib.unified_diff(
            old.replica.splitlines(), new.replica.splitlines(), old.id, new.id, lineterm="", n=1
        )
    )


def _settings(release: Release) -> Mapping[str, str]:
    told = {
        "image": release.image.rpartition("@")[2][:19],
        "replicas": str(release.replicas),
        "route": f"{release.route.host or '*'}{release.route.path}",
    }
    try:
        document: dict[str, Any] = json.loads(release.compose.replace("$$", "$"))
        replica = next(iter(document["services"].values()))
    except (ValueError, KeyError, StopIteration):
        return told
    environment = replica.get("environment", {})
    told |= {f"env {key}": str(v) for key, v in environment.items() if key not in _OURS}
    told |= {"memory": str(replica.get("mem_limit", ""))}
    told |= {
        f"health {k}": str(v) for k, v in replica.get("healthcheck", {}).items() if k != "test"
    }
    return told
