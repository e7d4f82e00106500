"""Secrets: named, versioned values that print as ***."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Never, Self

from deploy.core.config import SecretRef

MASK = "***"

type Know = Callable[[Secret], None]
"""Tells the filter of this process's output about a credential, before it is used."""


class Secret:
    """A value that only `reveal` returns; it prints as *** and can't be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Returns the value. Search for calls of this to see where values go."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> Never:
        raise TypeError("a secret can't be pickled")


def unknown(credential: Secret) -> None:
    """Tells nobody about a credential, where there is no output to filter."""


@dataclass(frozen=True)
class Found:
    """What a store has under a key. `version` is the store's own id of the value, None if it keeps no versions."""

    value: Secret
    version: str | None = None


@dataclass(frozen=True)
class Missing:
    """A store has no usable value under a key. `reason` says why and continues a sentence that names the key."""

    reason: str


@dataclass(frozen=True)
class Pinned:
    """A secret of a release: where it comes from, how a replica gets it, and the version at the time of the release."""

    name: str
    store: str
    key: str
    field: str
    into: str
    version: str

    @property
    def ref(self) -> SecretRef:
        """Where the current value is."""
        return SecretRef(self.store, self.key, self.field, self.into)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def field_of(found: Found, field: str) -> Found | Missing:
    """Returns one text field of a value that is a JSON document; for "" the whole value."""
    if not field:
        return found
    try:
        document = json.loads(found.value.reveal())
    except ValueError:
        return Missing("isn't a JSON document, so it has no fields")
    if not isinstance(document, dict) or not isinstance(document.get(field), str):
        return Missing(f"has no text field {field}")
    return Found(Secret(document[field]), found.version)


def version_of(name: str, found: Found, key: Secret) -> str:
    """Returns the store's version of a secret, or an HMAC of the value under `key` if the store keeps no versions.

    With a plain hash a reader of the release's record could find the value by trying candidates.
    """
    if found.version:
        return found.version
    message = f"{name}\0{found.value.reveal()}".encode()
    return "hmac-" + hmac.new(key.reveal().encode(), message, hashlib.sha256).hexdigest()[:32]


def changed(before: tuple[Pinned, ...], after: tuple[Pinned, ...]) -> tuple[str, ...]:
    """Returns the names of secrets that were added, removed, or have another version or source, sorted."""
    old, new = ({pin.name: pin for pin in pins} for pins in (before, after))
    return tuple(name for name in sorted({*old, *new}) if old.get(name) != new.get(name))
