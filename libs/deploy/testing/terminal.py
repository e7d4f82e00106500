"""A terminal of so many columns and rows: what is on its screen after some text; knows what a live table needs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PIECE = re.compile(r"\x1b\[(\?)?(\d*)([A-Za-z])|(\r)|(\n)|(.)", re.DOTALL)


@dataclass
class Screen:
    """Lines as people see them, scrolled ones included, without colours. `column` and `row` are the cursor's."""

    columns: int = 80
    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0
    hidden: bool = False

    def feed(self, text: str) -> Screen:
        """Takes in what a program wrote. Raises AssertionError for a sequence that it doesn't know."""
        for private, number, letter, back, down, character in _PIECE.findall(text):
            if letter:
                self._control(private, int(number or 1), letter)
            elif back:
                self.column = 0
            elif down:
                self._down()
            else:
                self._put(character)
        return self

    @property
    def text(self) -> list[str]:
        """The lines without spaces at their ends, up to the last one that has anything."""
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
                raise AssertionError(f"no such control sequence: {private}{number}{letter}")

    def _down(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append("")

    def _put(self, character: str) -> None:
        if self.column == self.columns:
            self._down()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
        self.column += 1
