"""What a verb is: its words, its arguments and what it does; never the doing itself."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.cli.output.console import Console
from deploy.cli.wiring import Wiring

Document = Mapping[str, Any]


def _no_arguments(parser: ArgumentParser) -> None:
    del parser


def _nothing(document: Document) -> str:
    del document
    return ""


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    `run` returns the verb's JSON document (`ok`, `exit_code` and `error` are added by main); `show` writes it
    for a person.
    """

    name: str
    help: str
    example: str
    run: Callable[[Namespace, Wiring, Console], Document]
    add: Callable[[ArgumentParser], None] = _no_arguments
    show: Callable[[Document], str] = _nothing
