"""The sandbox that `ship test` starts before the tests: its name, and how `ship up` ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.ship import until
from toolchain.early_sandbox import CODE, FOLDER_VARIABLE, LOG, NAME

WITHIN_S = 600.0
LAST_CHARACTERS = 4000


@dataclass(frozen=True)
class EarlyUp:
    """One `ship up`, whose files are in a folder."""

    folder: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> EarlyUp | None:
        """Returns the one that the environment names, None if `ship test` has started none."""
        folder = environ.get(FOLDER_VARIABLE)
        return cls(Path(folder)) if folder else None

    @property
    def name(self) -> str:
        """The sandbox's name."""
        return (self.folder / NAME).read_text()

    def wait(self, *, within_s: float = WITHIN_S) -> None:
        """Waits until it has ended. Raises AssertionError with the end of its output if it failed."""
        file = self.folder / CODE
        code = until(lambda: file.read_text() if file.exists() else None, within_s=within_s)
        log = (self.folder / LOG).read_text(errors="replace")
        assert code == "0", f"ship up: exit {code}\n{log[-LAST_CHARACTERS:]}"
