"""Says which requirements a changed lock or requirements file touches; never resolves anything.

It reads locks in the style of requirements.txt that say who needs each pin, as uv's
`--annotation-style=line` does: https://docs.astral.sh/uv/pip/compile/
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")
_VIA = re.compile(r"\s*# via\s+(.*)")


@dataclass(frozen=True)
class Pin:
    """What a file says of one project, and the projects that need it (`direct`: we do)."""

    text: str
    needed_by: frozenset[str] = frozenset()
    direct: bool = False


@dataclass(frozen=True)
class Touched:
    """Projects that a change touches: those that are still there, and those that went."""

    there: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


def normalised(name: str) -> str:
    """Returns a project's name as https://packaging.python.org/en/latest/specifications/name-normalization/."""
    return re.sub(r"[-_.]+", "-", name).lower()


def project_of(requirement: str) -> str:
    """Returns the project that a requirement such as `moto[server]>=5` names, "" for none."""
    found = _NAME.match(requirement.strip())
    return normalised(found[1]) if found else ""


def touched_by_lock(before: str, after: str) -> Touched | None:
    """Returns the direct requirements behind each pin that differs; None where the locks don't say."""
    old, new = _read(before), _read(after)
    if old is None or new is None:
        return None
    if any(not pin.needed_by and not pin.direct for pin in (*old.values(), *new.values())):
        return None
    changed = _differing(old, new)
    there, gone = _needing(changed, new), _needing(changed, old)
    return Touched(
        frozenset(name for name in there | gone if name in new and new[name].direct),
        frozenset(name for name in gone if old[name].direct and name not in new),
    )


def touched_by_requirements(before: str, after: str) -> Touched | None:
    """Returns the requirements whose lines differ; None where a line is none, such as an option."""
    old, new = _read(before), _read(after)
    if old is None or new is None:
        return None
    changed = _differing(old, new)
    return Touched(
        frozenset(name for name in changed if name in new),
        frozenset(name for name in changed if name not in new),
    )


def _differing(old: dict[str, Pin], new: dict[str, Pin]) -> set[str]:
    return {
        name
        for name in old.keys() | new.keys()
        if (old[name].text if name in old else None) != (new[name].text if name in new else None)
    }


def _needing(names: Collection[str], pins: dict[str, Pin]) -> set[str]:
    """Returns these projects and all that need them, directly or not."""
    found: set[str] = set()
    left = [name for name in names if name in pins]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [each for each in pins[name].needed_by if each in pins]
    return found


def _read(text: str) -> dict[str, Pin] | None:
    pins: dict[str, Pin] = {}
    name = ""
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
            pins[name] = Pin(_without_comment(line))
    return pins


def _annotated(pin: Pin, via: str) -> Pin:
    said = [each.strip() for each in via.split(",")]
    direct = pin.direct or any(each.startswith("-r ") for each in said)
    named = {normalised(each) for each in said if not each.startswith("-")}
    return Pin(pin.text, pin.needed_by | named, direct)


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
