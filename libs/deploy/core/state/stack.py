"""A compose stack that each host runs beside its services, as data. `core.stacks.definitions` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

REPLACED: Mapping[str, tuple[str, ...]] = {"watchdog": ("keeper",)}
"""Stacks of earlier versions, by the stack that does their work now. A host must not run both."""


@dataclass(frozen=True)
class Stack:
    """A compose stack that each host runs beside its services: the edge, the host's Prometheus and so on.

    `files` are (path below the stack's folder, text, mode); `initial_files` are the same, but only written where they
    are missing. The container is labelled with `key`; a host that runs another key gets the stack started anew: with
    `side_by_side` beside the old one, in a folder and a project of its own, else in its place. `settings` are lines
    NAME=VALUE for compose.yml. `check` is a command of the image that checks the files, mounted at `check_at`, before
    anything starts.
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

    @property
    def folder(self) -> str:
        """The folder of its compose.yml, below the stack's own: "" or, side by side with others, `KEY/`."""
        return f"{self.key}/" if self.side_by_side else ""

    @property
    def replaces(self) -> tuple[str, ...]:
        """The names of the stacks of earlier versions whose work this one does."""
        return REPLACED.get(self.name, ())

    @property
    def project(self) -> str:
        """The name of its compose project on every host."""
        return f"py-cicd-{self.name}-{self.key}" if self.side_by_side else f"py-cicd-{self.name}"
