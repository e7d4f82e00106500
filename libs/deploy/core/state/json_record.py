"""Reads and writes dataclasses as the JSON documents that hosts keep.

A field's metadata may say what stands for it in the document: `key` is another name than the field's own, `none` is
the value that stands for None, and with `optional` the field is left out of the document while it has its default, so
that records of versions without it stay as they are. A dataclass keeps the keys that it doesn't know in a field with
the metadata UNKNOWN, so that a record of a newer version is written again whole. A change that an older version must
not overlook gets a higher number in the document's `format`, which `refuse_newer` checks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

type UnknownKeys = tuple[tuple[str, str], ...]
"""The keys that a dataclass doesn't know, each with the JSON text of its value."""

UNKNOWN: Mapping[str, bool] = {"unknown": True}
"""The metadata of the field for them."""

_FORMAT = "format"


class NewerFormatError(ValueError):
    """A record's format number is higher than those that this version knows."""


def load(text: str) -> Any:
    """Returns the document in a JSON text from a host.

    Raises ValueError for text that isn't JSON, and for JSON that could not be handled later: nested too deep, with
    numbers that JSON doesn't have, or with characters that can't be written as UTF-8.
    """
    escapes = text.lower()
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
        if "\\ud" in escapes:  # half of a surrogate pair
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("the document is nested too deep") from None
    return document


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def refuse_newer(document: object, newest: int) -> None:
    """Raises NewerFormatError if the document has a higher format than `newest`; no format means 1."""
    found = document.get(_FORMAT, 1) if isinstance(document, dict) else 1
    if type(found) is not int or found < 1:
        raise ValueError(f"{_FORMAT}: should be a number from 1, not {found!r}"[:300])
    if found > newest:
        raise NewerFormatError(f"its format is {found}, this version knows only {newest}")


def to_json(value: object) -> Any:
    """Returns a dataclass as an object, its tuples as lists; any other value as it is."""
    match value:
        case tuple() | list():
            return [to_json(item) for item in value]
        case Mapping():
            return {key: to_json(item) for key, item in value.items()}
        case _ if is_dataclass(value):
            found = [(each, getattr(value, each.name)) for each in fields(value)]
            known = {
                _key(each): each.metadata.get("none") if item is None else to_json(item)
                for each, item in found
                if not _keeps_unknown(each)
                and not (each.metadata.get("optional") and item == each.default)
            }
            kept = (pair for each, item in found if _keeps_unknown(each) for pair in item)
            return known | {key: json.loads(text) for key, text in kept}
        case _:
            return value


def from_json[T](kind: type[T], document: object, path: str = "") -> T:
    """Returns the dataclass `kind` that a document describes.

    Keys that `kind` doesn't know are kept in its field for them, or ignored if it has none: a newer version may have
    written them. Fields whose key is missing take their default. Raises ValueError, with the path below the document,
    for a wrong type or a missing key.
    """
    if not isinstance(document, dict):
        raise _wrong(kind, document, path)
    found: dict[str, Any] = {}
    for each, hint in _fields(kind):  # type: ignore[arg-type]  # a class is hashable
        where = f"{path}.{_key(each)}".removeprefix(".")
        if _keeps_unknown(each):
            found[each.name] = _unknown(kind, document)
        elif _key(each) in document:
            item = document[_key(each)]
            is_none = "none" in each.metadata and item == each.metadata["none"]
            found[each.name] = None if is_none else _value(hint, item, where)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{where}: is missing")
    return kind(**found)


def _unknown(kind: Any, document: Mapping[str, object]) -> UnknownKeys:
    known = {_FORMAT, *(_key(each) for each, _ in _fields(kind) if not _keeps_unknown(each))}
    others = sorted(set(document) - known)
    return tuple((key, json.dumps(document[key], sort_keys=True)) for key in others)


def _keeps_unknown(each: Field[Any]) -> bool:
    return "unknown" in each.metadata


@cache
def _fields(kind: Any) -> tuple[tuple[Field[Any], Any], ...]:
    hints = get_type_hints(kind)
    return tuple((each, hints[each.name]) for each in fields(kind))


def _key(each: Field[Any]) -> str:
    return str(each.metadata.get("key", each.name))


def _value(hint: Any, item: object, path: str) -> Any:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if is_dataclass(hint):
        return from_json(hint, item, path)  # type: ignore[arg-type]  # only a class is a hint
    if kind in (Union, UnionType):
        options = [option for option in inner if option is not NoneType]
        return None if item is None and NoneType in inner else _value(options[0], item, path)
    if kind is tuple and isinstance(item, list):
        kinds = inner[:1] * len(item) if inner[-1] is ... else inner
        if len(kinds) == len(item):
            pairs = enumerate(zip(kinds, item, strict=True))
            return tuple(_value(each, part, f"{path}[{at}]") for at, (each, part) in pairs)
    elif kind is Mapping and isinstance(item, dict):
        return {key: _value(inner[1], part, f"{path}.{key}") for key, part in item.items()}
    elif kind is Literal and item in inner:
        return item
    elif (
        isinstance(kind, type) and issubclass(kind, Enum) and item in [each.value for each in kind]
    ):
        return kind(item)
    elif kind is float and type(item) in (int, float):
        return item  # unchanged, so that it is written back the same
    elif type(item) is kind:
        return item
    raise _wrong(hint, item, path)


def _wrong(hint: Any, item: object, path: str) -> ValueError:
    name = hint.__name__ if isinstance(hint, type) else str(hint)
    return ValueError(f"{path or 'the document'}: should be {name}, not {item!r}"[:300])
