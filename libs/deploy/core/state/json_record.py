"""Reads and writes dataclasses as the JSON documents that hosts keep.

A field's metadata may say what stands for it in the document: `key` is another name than the field's own, `none` is
the value that stands for None, and with `optional` the field is left out of the document while it has its default, so
that records of versions without it stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def to_json(value: object) -> Any:
    """Returns a dataclass as an object, its tuples as lists; any other value as it is."""
    match value:
        case tuple() | list():
            return [to_json(item) for item in value]
        case Mapping():
            return {key: to_json(item) for key, item in value.items()}
        case _ if is_dataclass(value):
            found = ((field, getattr(value, field.name)) for field in fields(value))
            return {
                _key(field): field.metadata.get("none") if item is None else to_json(item)
                for field, item in found
                if not (field.metadata.get("optional") and item == field.default)
            }
        case _:
            return value


def from_json[T](kind: type[T], document: object, path: str = "") -> T:
    """Returns the dataclass `kind` that a document describes.

    Keys that `kind` doesn't know are ignored: a newer version may have written them. Fields whose key is missing take
    their default. Raises ValueError, with the path below the document, for a wrong type or a missing key.
    """
    if not isinstance(document, dict):
        raise _wrong(kind, document, path)
    found: dict[str, Any] = {}
    for field, hint in _fields(kind):  # type: ignore[arg-type]  # a class is hashable
        where = f"{path}.{_key(field)}".removeprefix(".")
        if _key(field) in document:
            item = document[_key(field)]
            is_none = "none" in field.metadata and item == field.metadata["none"]
            found[field.name] = None if is_none else _value(hint, item, where)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{where}: is missing")
    return kind(**found)


@cache
def _fields(kind: Any) -> tuple[tuple[Field[Any], Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in fields(kind))


def _key(field: Field[Any]) -> str:
    return str(field.metadata.get("key", field.name))


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
