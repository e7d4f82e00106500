"""Secrets as the tool knows them: named, versioned, and a value that prints as ***; never written down here."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Never, Self

from deploy.core.config import SecretRef

MASK = "***"


class Secret:
    """A value that shows itself only to who asks for it with `reveal`, and that is never pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Returns the value. Whoever calls this says by it where the value goes."""
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
        raise TypeError("a secret is never pickled")


@dataclass(frozen=True)
class Found:
    """What a store holds under a key. `version` is the store's own id of it, "" where it keeps none."""

    value: Secret
    version: str = ""


@dataclass(frozen=True)
class Missing:
    """A store holds nothing of use under a key, and why, in words that follow a path."""

    reason: str


@dataclass(frozen=True)
class Pinned:
    """A secret of a release: where it comes from, how it gets to a replica, and which version it was made with."""

    name: str
    store: str
    key: str
    field: str
    into: str
    version: str

    @property
    def ref(self) -> SecretRef:
        """Where today's value is."""
        return SecretRef(self.store, self.key, self.field, self.into)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def field_of(found: Found, field: str) -> Found | Missing:
    """Returns one text field of a value that is a JSON document, or the whole value for "" """
    if not field:
        return found
    try:
        document = json.loads(found.value.reveal())
    except ValueError:
        return Missing("is no JSON document, so it has no fields")
    if not isinstance(document, dict) or not isinstance(document.get(field), str):
        return Missing(f"has no text field {field}")
    return Found(Secret(document[field]), found.version)


def version_of(name: str, found: Found, key: Secret) -> str:
    """Returns the store's version of a secret, or a digest of the value that means nothing without `key`.

    With a bare hash, whoever reads a release's record could try values until one fits.
    """
    if found.version:
        return found.version
    told = f"{name}\0{found.value.reveal()}".encode()
    return "hmac-" + hmac.new(key.reveal().encode(), told, hashlib.sha256).hexdigest()[:32]


def changed(before: tuple[Pinned, ...], after: tuple[Pinned, ...]) -> tuple[str, ...]:
    """Names the secrets that came, went, or are of another version or source, in order."""
    was, now = ({each.name: each for each in pins} for pins in (before, after))
    return tuple(name for name in sorted({*was, *now}) if was.get(name) != now.get(name))
