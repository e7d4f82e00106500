"""Renders plain data as YAML 1.2.

Strings are written as in JSON, which is valid YAML, so that none is mistaken for a number or a boolean. https://yaml.org/spec/1.2.2/#13-terminology
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

type Plain = str | int | bool | Sequence[Plain] | Mapping[str, Plain] | None


def write(document: Mapping[str, Plain]) -> str:
    """Returns the YAML text of a document. Lists of scalars are written on one line."""
    return "".join(f"{line}\n" for line in _block(document))


def _block(mapping: Mapping[str, Plain]) -> Iterator[str]:
    for key, value in mapping.items():
        name = key if _is_plain(key) else json.dumps(key)
        if isinstance(value, Mapping) and value:
            yield f"{name}:"
            yield from (f"  {line}" for line in _block(value))
        elif entries := _mappings_of(value):
            yield f"{name}:"
            for entry in entries:
                first, *rest = _block(entry)
                yield f"  - {first}"
                yield from (f"    {line}" for line in rest)
        else:
            yield f"{name}: {json.dumps(value)}"


def _is_plain(key: str) -> bool:
    return key.replace("_", "").replace("-", "").replace(".", "").isalnum()


def _mappings_of(value: Plain) -> Sequence[Mapping[str, Plain]]:
    """Returns the entries of a list that has only mappings, nothing for any other value."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    mappings = [entry for entry in value if isinstance(entry, Mapping)]
    return mappings if len(mappings) == len(value) else ()
