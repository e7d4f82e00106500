"""A compose stack that each host runs beside its services, as data. `core.stacks.definitions` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

REPLACED: Mapping[str, tuple[str, ...]] = {"watchdog": ("keeper",)}
"""Stacks of earlier versions, by the stack that does their work now. A host must not run both."""


@dataclass(frozen=True)
class Stack:
    """A stack that each host runs beside its services (the edge, its Prometheus).

    `files` are (path under the part's folder, text, mode); `seeds` the same, but only written where they are
    missing. The running container bears `key`; where it bears another, the part is started anew: `beside` the old
    one, from a folder and as a project of its own, or in its place. `settings` are what compose.yml is told, as lines
    NAME=VALUE; `check` is a command of the image that judges the files (mounted at `check_at`) before anything starts.
    """

    name: str
    image: str
    key: str
    files: tuple[tuple[str, str, int], ...]
    seeds: tuple[tuple[str, str, int], ...] = ()
    beside: bool = False
    settings: str = ""
    check: tuple[str, ...] = ()
    check_at: tuple[str, str] = ("", "")

    @property
    def home(self) -> str:
        """The folder of its compose.yml, under the part's: "" or, beside others, one of its own."""
        return f"{self.key}/" if self.beside else ""

    @property
    def replaces(self) -> tuple[str, ...]:
        """The names of the stacks of earlier versions whose work this one does."""
        return REPLACED.get(self.name, ())

    @property
    def project(self) -> str:
        """The compose project that it runs as on every host."""
        return f"py-cicd-{self.name}-{self.key}" if self.beside else f"py-cicd-{self.name}"
