"""Writes plain data as YAML 1.2 text; never reads any.

Strings are written as JSON has them, which YAML takes as they are: no word is ever mistaken for a number or a
truth value. https://yaml.org/spec/1.2.2/#13-terminology
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

type Plain = str | int | bool | Sequence[Plain] | Mapping[str, Plain] | None


def write(document: Mapping[str, Plain]) -> str:
    """Returns a document; lists of plain values stand on one line."""
    return "".join(f"{line}\n" for line in _block(document))


def _block(mapping: Mapping[str, Plain]) -> Iterator[str]:
    for key, value in mapping.items():
        name = key if _is_plain(key) else json.dumps(key)
        if isinstance(value, Mapping) and value:
            yield f"{name}:"
            yield from (f"  {line}" for line in _block(value))
        elif entries := _mappings_of(value):
            yield f"{name}:"
            for each in entries:
                first, *rest = _block(each)
                yield f"  - {first}"
                yield from (f"    {line}" for line in rest)
        else:
            yield f"{name}: {json.dumps(value)}"


def _is_plain(key: str) -> bool:
    return key.replace("_", "").replace("-", "").replace(".", "").isalnum()


def _mappings_of(value: Plain) -> Sequence[Mapping[str, Plain]]:
    """Returns the entries of a list of nothing but mappings, else none."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    found = [each for each in value if isinstance(each, Mapping)]
    return found if len(found) == len(value) else ()
