"""Decides which names of images in this machine's engine may go when a sandbox is removed.

A name is recorded with the sandboxes that use it, and with whether one of them made it. It may go once no sandbox uses
it. A name that was there before belongs to somebody else and stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ImageName:
    """Whether a sandbox made a name, and which sandboxes use it."""

    made: bool = False
    users: frozenset[str] = frozenset()


type ImageNames = Mapping[str, ImageName]
"""The names by reference."""


def with_user(names: ImageNames, reference: str, user: str, *, made: bool) -> ImageNames:
    """Returns the names after a sandbox has made or used one."""
    known = names.get(reference, ImageName())
    changed = replace(known, made=known.made or made, users=known.users | {user})
    return names if changed == known else {**names, reference: changed}


def without(names: ImageNames, gone: Iterable[str]) -> ImageNames:
    """Returns the names after these were removed from the engine."""
    left = set(gone)
    return {reference: name for reference, name in names.items() if reference not in left}


def released(names: ImageNames, user: str, sandboxes: Collection[str]) -> ImageNames:
    """Returns the names after a sandbox was removed, of which `sandboxes` are left.

    A sandbox that is gone without `ship down` uses nothing either.
    """
    left = {
        reference: replace(name, users=(name.users & frozenset(sandboxes)) - {user})
        for reference, name in names.items()
    }
    return {reference: name for reference, name in left.items() if name.made or name.users}


def removable(names: ImageNames) -> tuple[str, ...]:
    """Returns the references that may go, those of registries first: an engine removes an image with its last name.

    An image that was built under a name that others take is referenced by its id.
    """
    unused = [reference for reference, name in names.items() if name.made and not name.users]
    return tuple(sorted(unused, key=lambda reference: ("@" not in reference, reference)))
