"""Lines at the end of a terminal: drawn in place, and complete at the end, whatever the width."""

from __future__ import annotations

import io
import os
import termios
import threading

import pytest

from deploy.cli.output.live import (
    Live,
    erasing,
    size_of,
)
from deploy.testing.terminal import Screen


def test_lines_are_drawn_in_place_below_log_lines() -> None:
    stream, lines, drawn_once = io.StringIO(), ["one: 1", "two: 1"], threading.Semaphore(0)

    def now(width: int, height: int) -> list[str]:
        assert (width, height) == (80, 23)
        found = list(lines)
        drawn_once.release()
        return found

    live = Live(stream, now)
    assert drawn_once.acquire(timeout=60)
    live.say("a line of log")
    lines[:] = ["one: 2", "\x1b[31mtwo: 2\x1b[0m"]
    assert drawn_once.acquire(timeout=60)
    live.wake()
    live.say("another")
    live.stop()
    screen = Screen().feed(stream.getvalue())
    assert screen.text == ["a line of log", "another", "one: 2", "two: 2"]
    assert (screen.row, screen.column, screen.hidden) == (4, 0, False)
    assert "one: 1" in stream.getvalue()


def test_fewer_lines_leave_no_old_line_behind() -> None:
    before = "a\nb\nc\n"
    assert Screen().feed(f"log\n{before}{erasing(['a', 'b', 'c'], 80)}d\n").text == ["log", "d"]


@pytest.mark.parametrize("width", [5, 10, 11])
def test_lines_are_erased_after_the_terminal_became_narrower(width: int) -> None:
    drawn = ["0123456789", "\x1b[32mab\x1b[0m", ""]
    reflowed = Screen(width).feed("log\n").feed("".join(f"{line}\n" for line in drawn))
    assert reflowed.feed(f"{erasing(drawn, width)}new\n").text == ["log", "new"]


def test_size_is_the_terminal_s_or_80_by_24() -> None:
    master, slave = os.openpty()
    with os.fdopen(master, "rb"), os.fdopen(slave, "w") as stream:
        assert size_of(stream) == (80, 24)
        termios.tcsetwinsize(slave, (7, 33))
        assert size_of(stream) == (33, 7)
    assert size_of(io.StringIO()) == (80, 24)
