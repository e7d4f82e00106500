"""Removes secrets from everything that this process writes to stdout and stderr, and shows control characters as text.

That includes what a traceback, a warning or a library writes. What the process itself draws on a terminal keeps its
control sequences.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Iterable
from typing import Any, TextIO

from deploy.core.printable import printable
from deploy.core.state.redaction import Redaction

MOST_BUFFERED = 64 * 1024
"""Characters of a line without an end that are kept."""


class RedactedStream:
    """A text stream that redacts what it writes: whole lines, so that a secret in two writes is found.

    `flush` also writes the line that has no end yet, except for an end that may be the beginning of a secret.
    """

    def __init__(self, inner: TextIO, redact: Redaction) -> None:
        self._inner = inner
        self._redact = redact
        self._kept = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Writes the lines that have an end, after redacting them."""
        with self._lock:
            self._kept += text
            lines, newline, rest = self._kept.rpartition("\n")
            if newline:
                done, kept = self._redact.split(f"{lines}\n", line=True)
                self._inner.write(printable(done))
                self._kept = kept + rest
            if len(self._kept) > MOST_BUFFERED:
                self.flush()
        return len(text)

    def draw(self, text: str) -> None:
        """Writes text with control sequences of this process's own, at once. All other text in it must be printable."""
        with self._lock:
            self.flush()
            self._inner.write(self._redact(text))
            self._inner.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each line."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Writes what is certain to be no part of a secret."""
        with self._lock:
            line = self._kept.endswith("\n")
            done, self._kept = self._redact.split(self._kept, line=line)
            self._inner.write(printable(done))
            self._inner.flush()

    def finish(self) -> None:
        """Writes the rest. Nothing follows, so it is no secret's beginning."""
        with self._lock:
            rest, self._kept = self._redact(self._kept), ""
            self._inner.write(printable(rest))
            self._inner.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def draw(stream: TextIO, text: str) -> None:
    """Writes text with control sequences of this process's own to a stream."""
    if isinstance(stream, RedactedStream):
        stream.draw(text)
    else:
        stream.write(text)
        stream.flush()


def redact_output(redact: Redaction) -> None:
    """Replaces this process's stdout and stderr with streams that redact, for the rest of its life."""
    for name in ("stdout", "stderr"):
        stream = RedactedStream(getattr(sys, name), redact)
        atexit.register(stream.finish)
        setattr(sys, name, stream)
