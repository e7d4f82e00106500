"""Argument parser of one verb. Wrong arguments raise UsageError."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import NoReturn

from toolchain.errors import UsageError


class VerbParser(ArgumentParser):
    """Parses the arguments of `ship VERB`. Its help shows the description and an example."""

    def __init__(self, verb: str, description: str | None, example: str) -> None:
        super().__init__(
            prog=f"ship {verb}",
            description=description,
            epilog=example,
            formatter_class=RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Raises UsageError, which `main` prints, also as JSON with `--json`."""
        raise UsageError(f"{message}.", "Nothing was done.", f"./{self.prog} --help")
