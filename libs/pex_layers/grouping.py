"""Decides which layer each part of a service belongs to, so that a change moves few bytes.

A registry gets only layers that changed. A host pulls these and all layers above them, so what is large and seldom
released lies at the bottom.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

RELEASES_A_YEAR = {
    "blinker": 1,
    "certifi": 8,
    "click": 4,
    "flask": 3,
    "gunicorn": 8,
    "itsdangerous": 1,
    "jinja2": 2,
    "markupsafe": 2,
    "opentelemetry": 18,
    "prometheus": 4,
    "psutil": 6,
    "typing": 3,
    "urllib3": 4,
    "werkzeug": 5,
}
"""About how often a family is released. Another number moves distributions to other layers and breaks nothing."""

USUAL_RELEASES_A_YEAR = 4


@dataclass(frozen=True)
class Family:
    """Distributions that are released together, and their size."""

    name: str
    distributions: tuple[str, ...]
    size: int

    @property
    def releases(self) -> int:
        """Returns about how many releases it has in a year."""
        return RELEASES_A_YEAR.get(self.name, USUAL_RELEASES_A_YEAR)


def families(sizes: Mapping[str, int]) -> list[Family]:
    """Returns the families of distributions. One is all whose names start with the same word, as `opentelemetry-`."""
    members: dict[str, list[str]] = {}
    for name in sorted(sizes):
        members.setdefault(name.lower().replace("_", "-").partition("-")[0], []).append(name)
    return [
        Family(name, tuple(distributions), sum(sizes[each] for each in distributions))
        for name, distributions in sorted(members.items())
    ]


def group_distributions(sizes: Mapping[str, int], layers: int) -> list[tuple[str, ...]]:
    """Returns the distributions of each layer, the bottom one first; the top ones may be empty.

    `sizes` is by name. The bytes that a year of releases pushes are as few as this order allows.
    """
    order = sorted(families(sizes), key=lambda family: (family.releases / family.size, family.name))
    groups = [
        tuple(name for family in group for name in family.distributions)
        for group in _cheapest_groups(order, layers)
    ]
    return groups + [()] * (layers - len(groups))


def _cheapest_groups(order: Sequence[Family], layers: int) -> Sequence[Sequence[Family]]:
    """Cuts a sequence into at most `layers` groups with the least bytes pushed in a year."""

    def yearly_bytes(group: Sequence[Family]) -> int:
        return sum(family.releases for family in group) * sum(family.size for family in group)

    @cache
    def cheapest(start: int, most: int) -> tuple[int, tuple[int, ...]]:
        """Returns the cost of the families from `start` on, and where their groups end."""
        if start == len(order):
            return 0, ()
        if most == 1:
            return yearly_bytes(order[start:]), (len(order),)
        options = []
        for end in range(start + 1, len(order) + 1):
            cost, ends = cheapest(end, most - 1)
            options.append((yearly_bytes(order[start:end]) + cost, (end, *ends)))
        return min(options)

    ends = cheapest(0, layers)[1]
    return [order[start:end] for start, end in zip((0, *ends), ends, strict=False)]


def layer_of_source(path: str, own: str, layers: int) -> int:
    """Returns the layer, from 0 at the bottom, of a file of our code.

    Libraries are in the bottom one. The files of the package `own` are spread by a hash of their path, so that a change
    of one moves only a part of the package, and a new file leaves the others where they are.
    """
    if layers == 1 or path.partition("/")[0] != own:
        return 0
    digest = hashlib.sha256(path.encode()).digest()
    return 1 + int.from_bytes(digest[:8]) % (layers - 1)
