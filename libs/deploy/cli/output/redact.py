"""The one way out for text: stdout and stderr of this process, with secrets taken out; never changes anything else.

What a traceback, a warning or a library writes goes through it too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO


class RedactedStream:
    """A text stream that writes what `redact` leaves."""

    def __init__(self, inner: TextIO, redact: Callable[[str], str]) -> None:
        self._inner = inner
        self._redact = redact

    def write(self, text: str) -> int:
        """Writes a text, redacted as a whole: lines are to be written in one piece."""
        self._inner.write(self._redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def redact_output(redact: Callable[[str], str]) -> None:
    """Puts this process's stdout and stderr behind `redact`, for good."""
    streams: Any = (RedactedStream(sys.stdout, redact), RedactedStream(sys.stderr, redact))
    sys.stdout, sys.stderr = streams
