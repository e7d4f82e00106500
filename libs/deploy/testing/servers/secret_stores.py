"""A secret store in memory that counts what is fetched and can be made to refuse."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from deploy.core.state.secrets import (
    Found,
    Missing,
    Secret,
)
from deploy.errors import SecretStoreError


@dataclass
class MemoryStore:
    """Values by key. A `versioned` store gives each value a version, as AWS does. `fetched` records every key."""

    values: dict[str, str] = field(default_factory=dict)
    versioned: bool = False
    refuses: bool = False
    fetched: list[str] = field(default_factory=list)
    _versions: dict[str, int] = field(default_factory=dict)

    def put(self, key: str, value: str) -> None:
        """Sets a key's value, as a new version."""
        self.values[key] = value
        self._versions[key] = self._versions.get(key, 0) + 1

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns the value of each key. Raises SecretStoreError while the store `refuses`."""
        self.fetched += keys
        if self.refuses:
            raise SecretStoreError("the store is set to refuse")
        return {key: self._one(key) for key in keys}

    def _one(self, key: str) -> Found | Missing:
        if key not in self.values:
            return Missing("is not there")
        return Found(Secret(self.values[key]), str(self._versions[key]) if self.versioned else "")
