"""Collects values. A measurement that fails is reported with its reason and doesn't stop the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.figures import BY_KEY


@dataclass
class Measurements:
    """Values by the keys of figures, of one way to deploy, and the reasons of what failed by measurement."""

    way: str
    values: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, measure: Callable[[], Mapping[str, float]]) -> None:
        """Runs a measurement and keeps its values. Raises KeyError for a key that no figure has."""
        print(f"bench: {self.way}: {name} ...", file=sys.stderr, flush=True)
        try:
            values = measure()
        except Exception as error:  # noqa: BLE001 - one failure must not hide the other figures
            self.failed[f"{self.way}: {name}"] = (str(error) or type(error).__name__)[:500]
            return
        for key, value in values.items():
            self.values[BY_KEY[key].key] = value
