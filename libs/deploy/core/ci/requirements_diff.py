"""Finds the requirements that differ between two versions of a lock or requirements file.

Locks are in the style of requirements.txt and name after each pin the projects that require it, as uv writes them with
`--annotation-style=line`: https://docs.astral.sh/uv/pip/compile/
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")
_VIA = re.compile(r"\s*# via\s+(.*)")


@dataclass(frozen=True)
class PinnedProject:
    """A project's entry in a file, and the projects that require it (`direct`: our requirements file does)."""

    text: str
    required_by: frozenset[str] = frozenset()
    direct: bool = False


@dataclass(frozen=True)
class RequirementsDiff:
    """Requirements that a change affects: those that are still in the file, and those that were removed."""

    changed: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


def normalised(name: str) -> str:
    """Returns a project's normalised name (https://packaging.python.org/en/latest/specifications/name-normalization/)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def project_of(requirement: str) -> str | None:
    """Returns the project of a requirement such as `moto[server]>=5`, None if the line is no requirement."""
    match = _NAME.match(requirement.strip())
    return normalised(match[1]) if match else None


def diff_locks(before: str, after: str) -> RequirementsDiff | None:
    """Returns the direct requirements that depend on a pin that differs, None if the locks don't tell."""
    old, new = _read(before), _read(after)
    if old is None or new is None:
        return None
    if any(not pin.required_by and not pin.direct for pin in (*old.values(), *new.values())):
        return None
    differing = _differing(old, new)
    now, earlier = _dependents(differing, new), _dependents(differing, old)
    return RequirementsDiff(
        frozenset(name for name in now | earlier if name in new and new[name].direct),
        frozenset(name for name in earlier if old[name].direct and name not in new),
    )


def diff_requirements(before: str, after: str) -> RequirementsDiff | None:
    """Returns the requirements whose lines differ, None if a line is no requirement, such as an option."""
    old, new = _read(before), _read(after)
    if old is None or new is None:
        return None
    differing = _differing(old, new)
    return RequirementsDiff(
        frozenset(name for name in differing if name in new),
        frozenset(name for name in differing if name not in new),
    )


def _differing(old: dict[str, PinnedProject], new: dict[str, PinnedProject]) -> set[str]:
    return {
        name
        for name in old.keys() | new.keys()
        if (old[name].text if name in old else None) != (new[name].text if name in new else None)
    }


def _dependents(names: Collection[str], pins: dict[str, PinnedProject]) -> set[str]:
    """Returns these projects and all that require them, directly or indirectly."""
    found: set[str] = set()
    left = [name for name in names if name in pins]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [each for each in pins[name].required_by if each in pins]
    return found


def _read(text: str) -> dict[str, PinnedProject] | None:
    pins: dict[str, PinnedProject] = {}
    name: str | None = None
    for line in _logical_lines(text):
        if via := _VIA.fullmatch(line):
            if not name:
                return None
            pins[name] = _annotated(pins[name], via[1])
        elif line.lstrip().startswith("#") or not line.strip():
            continue
        else:
            name = project_of(line)
            if not name or name in pins:
                return None
            pins[name] = PinnedProject(_without_comment(line))
    return pins


def _annotated(pin: PinnedProject, via: str) -> PinnedProject:
    sources = [source.strip() for source in via.split(",")]
    direct = pin.direct or any(source.startswith("-r ") for source in sources)
    projects = {normalised(source) for source in sources if not source.startswith("-")}
    return PinnedProject(pin.text, pin.required_by | projects, direct)


def _without_comment(line: str) -> str:
    return re.sub(r"\s+#.*", "", " ".join(line.split()))


def _logical_lines(text: str) -> Iterator[str]:
    parts: list[str] = []
    for line in text.splitlines():
        parts.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            yield " ".join(parts) if len(parts) > 1 else parts[0]
            parts = []
    if parts:
        yield " ".join(parts)
