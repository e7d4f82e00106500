"""Removes secrets from everything that this process writes to stdout and stderr.

That includes what a traceback, a warning or a library writes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO


class RedactedStream:
    """A text stream that redacts what it writes."""

    def __init__(self, inner: TextIO, redact: Callable[[str], str]) -> None:
        self._inner = inner
        self._redact = redact

    def write(self, text: str) -> int:
        """Writes a text after redacting it. A secret split over two calls is not found: write whole lines."""
        self._inner.write(self._redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def redact_output(redact: Callable[[str], str]) -> None:
    """Replaces this process's stdout and stderr with streams that redact, for the rest of its life."""
    streams: Any = (RedactedStream(sys.stdout, redact), RedactedStream(sys.stderr, redact))
    sys.stdout, sys.stderr = streams
