"""Reads a guide of docs/ as what a reader does: the files to write and the commands to run, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(
    r"^(?:\*\*(?P<path>[\w./-]+)\*\*\n\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class WriteFile:
    """A file to write. Its path is in bold above its block."""

    path: str
    text: str


@dataclass(frozen=True)
class RunCommand:
    """A line of a `sh` block."""

    line: str


type GuideStep = WriteFile | RunCommand


def steps_of(guide: str) -> Iterator[GuideStep]:
    """Yields the steps of a guide. A block of another language without a path is an illustration."""
    for block in _BLOCK.finditer(guide):
        if block["path"]:
            yield WriteFile(block["path"], block["text"])
        elif block["language"] == "sh":
            yield from (RunCommand(line) for line in block["text"].splitlines())
