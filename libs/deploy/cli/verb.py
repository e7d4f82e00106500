"""The types of a verb: its entry in the list of verbs, and its arguments, what it runs and how it is shown.

Help texts are made from entries. The module of a verb, and what it needs, is imported when the verb is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from deploy.cli.output.console import Console
    from deploy.cli.wiring import Wiring

Document = Mapping[str, Any]


class Group(Enum):
    """The task that a verb belongs to, in the order in which `ship --help` and docs/cli.md list them."""

    LOCAL = "this machine"
    BUILD = "build"
    DEPLOY = "deploy"
    OBSERVE = "observe"
    HOSTS = "hosts"
    PIPELINE = "pipeline"


def _no_arguments(parser: ArgumentParser) -> None:
    del parser


def _nothing(document: Document) -> str:
    del document
    return ""


@dataclass(frozen=True)
class Verb:
    """What one verb does.

    `run` returns the verb's JSON document (`main` adds `ok`, `exit_code` and `error`); `show` formats it for a
    terminal.
    """

    run: Callable[[Namespace, Wiring, Console], Document]
    add: Callable[[ArgumentParser], None] = _no_arguments
    show: Callable[[Document], str] = _nothing


@dataclass(frozen=True)
class VerbEntry:
    """A verb in the list of verbs. `module` of `deploy.cli.verbs` defines it, as `attribute`."""

    group: Group
    name: str
    help: str
    example: str
    module: str | None = None
    attribute: str = "VERB"

    def load(self) -> Verb:
        """Imports the verb, which must be one of this library."""
        verb: Verb = getattr(import_module(f"deploy.cli.verbs.{self.module}"), self.attribute)
        return verb
