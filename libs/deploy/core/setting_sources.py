"""Lists what a service's settings come to, and the file that each of them is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from deploy.core.config import SecretRef, Service, Task

DEFAULT = "default"

type Path = tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """One setting: its key, such as health.drain_s, its value, and the file that it is from or "default"."""

    key: str
    value: Any
    source: str


@dataclass(frozen=True)
class Given:
    """The settings that a file has, as parsed, and the file's name."""

    file: str
    settings: Mapping[str, Any]

    def has(self, path: Path) -> bool:
        """Returns whether the file sets the key at this path."""
        table: Any = self.settings
        for part in path:
            if not isinstance(table, Mapping) or part not in table:
                return False
            table = table[part]
        return True


def settings_of(service: Service, own: Given, override: Given) -> tuple[Setting, ...]:
    """Returns the settings of a service with an environment's override applied. `own` is the service's own file."""
    return tuple(
        Setting(".".join(path), value, _source(path, own, override))
        for path, value in _flat(service, ())
    )


def _source(path: Path, own: Given, override: Given) -> str:
    # An override of a task replaces all of it.
    replaced = path[0] == "tasks" and override.has(path[:2])
    for given in (override,) if replaced else (override, own):
        if given.has(path):
            return given.file
    return DEFAULT


def _flat(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    match value:
        case None:
            return
        case SecretRef():
            entry = {value.store: value.key, "field": value.field, "into": value.into}
            yield path, {key: each for key, each in entry.items() if each}
        case Mapping():
            for key in sorted(value):
                yield from _flat(value[key], (*path, key))
        case Task() | _ if is_dataclass(value) and not isinstance(value, type):
            for field in fields(value):
                yield from _flat(getattr(value, field.name), (*path, field.name))
        case tuple():
            yield path, [_plain(each) for each in value]
        case _:
            yield path, value


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {key: each for key, each in asdict(value).items() if each is not None}
    return value
