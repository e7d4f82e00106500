"""What the demo shows: captions, the output of commands, and a counter of users' requests; kept for the recording."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TextIO


class Style(StrEnum):
    """How a line looks."""

    CAPTION = "caption"
    COMMAND = "command"
    OUTPUT = "output"
    COUNTER = "counter"


_COLOURS = {Style.CAPTION: "1;36", Style.COMMAND: "1", Style.COUNTER: "32"}


@dataclass(frozen=True)
class Line:
    """A line, and when it appeared, in seconds since the beginning."""

    at_s: float
    style: Style
    text: str


@dataclass
class Screen:
    """Prints lines as they come and keeps them."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic
    lines: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._begun_s = self.clock()

    def show(self, style: Style, text: str) -> None:
        """Prints a text; each of its lines becomes one."""
        for each in text.splitlines() or [""]:
            self.lines.append(Line(self.seconds, style, each))
            colour = _COLOURS.get(style) if self.stream.isatty() else None
            print(f"\x1b[{colour}m{each}\x1b[0m" if colour else each, file=self.stream, flush=True)

    def caption(self, text: str) -> None:
        """Begins a chapter."""
        self.show(Style.OUTPUT, "")
        self.show(Style.CAPTION, f"# {text}")

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return self.clock() - self._begun_s
