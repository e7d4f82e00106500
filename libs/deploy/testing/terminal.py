"""A terminal that shows what a person would see after a program's output, escape sequences included."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PIECE = re.compile(r"\x1b\[(\?)?(\d*)([A-Za-z])|(\r)|(\n)|(.)", re.DOTALL)


@dataclass
class Screen:
    """The lines on the screen, including scrolled ones, without colours. The cursor is at `column` of `row`."""

    columns: int = 80
    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0
    hidden: bool = False

    def feed(self, text: str) -> Screen:
        """Processes a program's output. Raises AssertionError for an unknown control sequence."""
        for private, number, letter, carriage_return, newline, character in _PIECE.findall(text):
            if letter:
                self._control(private, int(number or 1), letter)
            elif carriage_return:
                self.column = 0
            elif newline:
                self._line_feed()
            else:
                self._put(character)
        return self

    @property
    def text(self) -> list[str]:
        """The lines up to the last non-empty one, without trailing spaces."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip().split("\n")

    def _control(self, private: str, number: int, letter: str) -> None:
        match private, letter:
            case "", "A":
                self.row = max(0, self.row - number)
            case "", "J":
                self.lines[self.row] = self.lines[self.row][: self.column]
                del self.lines[self.row + 1 :]
            case "", "m":
                pass
            case "?", ("h" | "l"):
                self.hidden = letter == "l" if number == 25 else self.hidden
            case _:
                raise AssertionError(f"unknown control sequence: {private}{number}{letter}")

    def _line_feed(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append("")

    def _put(self, character: str) -> None:
        if self.column == self.columns:
            self._line_feed()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
        self.column += 1
