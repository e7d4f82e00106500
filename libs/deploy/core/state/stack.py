"""A compose stack that each host runs beside its services, as data. `core.stacks.definitions` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.core.state.json_record import UNKNOWN, UnknownKeys

REPLACED: Mapping[str, tuple[str, ...]] = {"watchdog": ("keeper",)}
"""The stacks of earlier versions that a stack replaces. A host must not run both."""


@dataclass(frozen=True)
class Stack:
    """A compose stack that each host runs beside its services: the edge, the host's Prometheus and so on.

    `files` are (path below the stack's folder, text, mode); `initial_files` are the same, but only written where they
    are missing. The container is labelled with `key`. On a host that runs another key, the stack is started again: if
    `side_by_side` next to the old one, with its own folder and project, else in its place. `settings` are lines
    NAME=VALUE for compose.yml. Before anything starts, `check`, a command of the image, checks the files, which are
    mounted at `check_at`.
    """

    name: str
    image: str
    key: str
    files: tuple[tuple[str, str, int], ...]
    initial_files: tuple[tuple[str, str, int], ...] = field(default=(), metadata={"key": "seeds"})
    side_by_side: bool = field(default=False, metadata={"key": "beside"})
    settings: str = ""
    check: tuple[str, ...] = ()
    check_at: tuple[str, str] = ("", "")
    unknown: UnknownKeys = field(default=(), metadata=UNKNOWN, compare=False)

    @property
    def folder(self) -> str:
        """The folder of its compose.yml, below the stack's folder: `KEY/` if `side_by_side`, else ""."""
        return f"{self.key}/" if self.side_by_side else ""

    @property
    def replaces(self) -> tuple[str, ...]:
        """The names of the stacks of earlier versions that this one replaces."""
        return REPLACED.get(self.name, ())

    @property
    def project(self) -> str:
        """The name of its compose project on every host."""
        return f"py-cicd-{self.name}-{self.key}" if self.side_by_side else f"py-cicd-{self.name}"
