"""Finds what an application raised in the log lines of its container, and shortens log lines for messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

BEGIN = "Traceback (most recent call last):"
EXCEPTION = "exception: "
MOST_FRAMES = 4
MOST_CHARACTERS = 300

_FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)(, in (?P<function>.+))?$')
_RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(: (?P<message>.*))?$", re.DOTALL)
_INSTALLED = "/site-packages/"


@dataclass(frozen=True)
class Frame:
    """A line of code that was running. `file` is relative to site-packages if it was installed."""

    file: str
    line: int
    function: str
    code: str = ""
    installed: bool = False

    def __str__(self) -> str:
        where = f"{self.file}:{self.line} in {self.function}"
        return f"{where}: {self.code}" if self.code else where


@dataclass(frozen=True)
class RaisedException:
    """An exception as Python prints it: its type with the module, its message, the frames from outside in."""

    type: str
    message: str
    frames: tuple[Frame, ...]

    def __str__(self) -> str:
        return shortened(f"{self.type}: {self.message}" if self.message else self.type)

    def frames_of(self, package: str) -> tuple[Frame, ...]:
        """Returns the innermost frames of a package's code; if there are none, of all installed code."""
        for chosen in (package, ""):
            own = [f for f in self.frames if f.installed and f.file.startswith(chosen)]
            if own:
                return tuple(own[-MOST_FRAMES:])
        return self.frames[-MOST_FRAMES:]


def last_exception(lines: Iterable[str]) -> RaisedException | None:
    """Returns the last exception in log lines: in the `exception` of a JSON line, or as a traceback of plain lines."""
    text = "\n".join(_traceback_of(line) for line in lines)
    _, begin, last = text.rpartition(BEGIN)
    return _parse(last.splitlines()) if begin else None


def details_of(raised: RaisedException | None, service: str) -> list[str]:
    """Returns an exception and the frames of the service's code as lines for an error; none for None."""
    if raised is None:
        return []
    frames = raised.frames_of(f"{service.replace('-', '_')}/")
    return [f"{EXCEPTION}{raised}", *(f"  {frame}" for frame in frames)]


def shown_line(line: str) -> str:
    """Returns a log line for people: of a JSON line its level, logger and message, of a plain line its beginning."""
    document = _document(line)
    if document is None:
        return shortened(line)
    words = (str(document[key]) for key in ("level", "logger", "message") if document.get(key))
    return shortened(" ".join(words) or line)


def shortened(text: str) -> str:
    """Returns the first line of a text, at most MOST_CHARACTERS of it. Three dots show that more follows."""
    first, _, more = text.partition("\n")
    if len(first) > MOST_CHARACTERS:
        return f"{first[: MOST_CHARACTERS - 3]}..."
    return f"{first} ..." if more.strip() else first


def _document(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("message"), str) else None


def _traceback_of(line: str) -> str:
    document = _document(line)
    if document is None:
        return line
    # A line without an exception ends the traceback before it.
    return str(document.get("exception") or "\n")


def _parse(lines: Sequence[str]) -> RaisedException | None:
    frames: list[Frame] = []
    for number, line in enumerate(lines):
        if found := _FRAME.match(line):
            file = found["file"]
            package = file.partition(_INSTALLED)[2]
            after = lines[number + 1] if number + 1 < len(lines) else ""
            code = "" if _FRAME.match(after) or not after.startswith("    ") else after.strip()
            function = found["function"] or "<module>"
            frames.append(
                Frame(package or file, int(found["line"]), function, code, installed=bool(package))
            )
        elif line and not line[0].isspace():
            # The message may have several lines; the log goes on below it.
            raised = _RAISED.match(line)
            return (
                RaisedException(raised["type"], raised["message"] or "", tuple(frames))
                if raised
                else None
            )
    return None
