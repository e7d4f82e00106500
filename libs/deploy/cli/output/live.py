"""Keeps lines at the end of a terminal up to date, with log lines above them.

A separate thread draws, because an interrupt goes to the main thread and would leave a drawing incomplete. The cursor
rests below the last line and is never hidden, so that the terminal is fine however the process ends.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

from deploy.cli.output.redact import draw

EVERY_S = 0.5
LEAST_PAUSE_S = 0.05
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Live:
    """Lines that are drawn again at every `wake` and twice a second; `lines(width, height)` returns them."""

    def __init__(self, stream: TextIO, lines: Callable[[int, int], Sequence[str]]) -> None:
        self._stream = stream
        self._lines = lines
        self._drawn: Sequence[str] = ()
        self._logged: list[str] = []
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live table", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """Writes a log line above the live lines."""
        with self._lock:
            self._logged.append(line)
        self._woken.set()

    def wake(self) -> None:
        """Draws again soon, because the lines have changed."""
        self._woken.set()

    def stop(self) -> None:
        """Draws a last time, leaves the lines in place and returns."""
        self._ended.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._draw()
            self._woken.wait(EVERY_S)
            self._woken.clear()
            self._ended.wait(LEAST_PAUSE_S)
        self._draw()

    def _draw(self) -> None:
        with self._lock:
            logged, self._logged = self._logged, []
        width, height = size_of(self._stream)
        # The line below the last one stays free for the cursor.
        lines = self._lines(width, height - 1)
        text = "".join(f"{line}\n" for line in (*logged, *lines))
        draw(self._stream, f"{erasing(self._drawn, width)}{text}")
        self._drawn = lines


def erasing(drawn: Sequence[str], width: int) -> str:
    """Returns the control sequence that moves the cursor to the first of these lines and erases them.

    A terminal that has become narrower since shows each of them as several.
    """
    visible = (len(_COLOUR.sub("", line)) for line in drawn)
    up = sum(max(1, -(-length // width)) for length in visible)
    return f"\r\x1b[{up}A\x1b[J" if up else "\r\x1b[J"


def size_of(stream: TextIO) -> tuple[int, int]:
    """Returns a terminal's columns and rows, 80 and 24 if it reports none."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except OSError:
        columns, rows = 0, 0
    return columns or 80, rows or 24
