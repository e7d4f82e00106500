"""An argument parser whose mistakes are errors like all others; it never exits by itself but for help."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import NoReturn

from toolchain.errors import UsageError


class Arguments(ArgumentParser):
    """The arguments of one verb, with what it does and an example in its help."""

    def __init__(self, verb: str, description: str | None, example: str) -> None:
        super().__init__(
            prog=f"ship {verb}",
            description=description,
            epilog=example,
            formatter_class=RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Raise UsageError: `entry` tells it, as JSON where that was asked for."""
        raise UsageError(f"{message}.", "Nothing was done.", f"./{self.prog} --help")
