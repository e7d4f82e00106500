"""Removes secrets from everything that this process writes to stdout and stderr, and shows control characters as text.

That includes what a traceback, a warning or a library writes. What the process itself draws on a terminal keeps its
control sequences.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from deploy.core.printable import printable


class RedactedStream:
    """A text stream that redacts what it writes."""

    def __init__(self, inner: TextIO, redact: Callable[[str], str]) -> None:
        self._inner = inner
        self._redact = redact

    def write(self, text: str) -> int:
        """Writes a text after redacting it. A secret split over two calls is not found: write whole lines."""
        self._inner.write(printable(self._redact(text)))
        return len(text)

    def draw(self, text: str) -> None:
        """Writes text with control sequences of this process's own, at once. All other text in it must be printable."""
        self._inner.write(self._redact(text))
        self._inner.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def draw(stream: TextIO, text: str) -> None:
    """Writes text with control sequences of this process's own to a stream."""
    if isinstance(stream, RedactedStream):
        stream.draw(text)
    else:
        stream.write(text)
        stream.flush()


def redact_output(redact: Callable[[str], str]) -> None:
    """Replaces this process's stdout and stderr with streams that redact, for the rest of its life."""
    streams: Any = (RedactedStream(sys.stdout, redact), RedactedStream(sys.stderr, redact))
    sys.stdout, sys.stderr = streams
