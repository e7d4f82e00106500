"""The type of a verb: its name, its arguments, what it runs and how it is shown."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

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
    """One verb of the command line.

    `run` returns the verb's JSON document (`main` adds `ok`, `exit_code` and `error`); `show` formats it for a
    terminal.
    """

    group: Group
    name: str
    help: str
    example: str
    run: Callable[[Namespace, Wiring, Console], Document]
    add: Callable[[ArgumentParser], None] = _no_arguments
    show: Callable[[Document], str] = _nothing
