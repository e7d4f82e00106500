"""A store of secrets in memory that can be told to refuse, and that knows how often it was asked."""

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
    """Values by key. `versioned` stores give each value a version of its own, as AWS does."""

    values: dict[str, str] = field(default_factory=dict)
    versioned: bool = False
    refuses: bool = False
    asked: list[str] = field(default_factory=list)
    _versions: dict[str, int] = field(default_factory=dict)

    def put(self, key: str, value: str) -> None:
        """Holds another value under a key."""
        self.values[key] = value
        self._versions[key] = self._versions.get(key, 0) + 1

    def fetch(self, keys: Collection[str]) -> Mapping[str, Found | Missing]:
        """Returns what is held under each key."""
        self.asked += keys
        if self.refuses:
            raise SecretStoreError("the store is told to refuse")
        return {key: self._one(key) for key in keys}

    def _one(self, key: str) -> Found | Missing:
        if key not in self.values:
            return Missing("is not there")
        return Found(Secret(self.values[key]), str(self._versions[key]) if self.versioned else None)
