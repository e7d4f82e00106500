"""What the demo shows, and its recording."""

from __future__ import annotations

import io
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from e2e.demo.__main__ import brief
from e2e.demo.recording import LONGEST_PAUSE_S, ROWS, render, times
from e2e.demo.screen import Line, Screen, Style


def ticking() -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += 1.0


def test_lines_are_printed_as_they_come_and_kept_with_their_times() -> None:
    clock, stream = ticking(), io.StringIO()
    screen = Screen(stream, clock.__next__)
    screen.caption("A deploy")
    screen.show(Style.OUTPUT, "one\ntwo")
    assert stream.getvalue() == "\n# A deploy\none\ntwo\n"
    assert [(line.at_s, line.text) for line in screen.lines] == [
        (1.0, ""),
        (2.0, "# A deploy"),
        (3.0, "one"),
        (4.0, "two"),
    ]


def test_a_failure_is_reported_in_one_line() -> None:
    assert (
        brief("exit 1\n  0.3 s  up\nerror: no space left\nnext: ./ship doctor") == "no space left"
    )
    assert brief("RuntimeError isn't in the output:\nx") == "RuntimeError isn't in the output:"


def test_the_recording_shortens_pauses() -> None:
    lines = [Line(at, Style.OUTPUT, "x") for at in (0.5, 1.0, 61.0)]
    assert times(lines) == [0.5, 1.0, 1.0 + LONGEST_PAUSE_S]


def test_the_recording_is_valid_xml_whatever_a_line_contains() -> None:
    lines = [Line(number / 2, Style.COUNTER, "a < b & \x1b[1m 'c'") for number in range(ROWS + 3)]
    svg = ET.fromstring(render(lines, 'a "title" & more'))  # noqa: S314 - our own
    texts = [element for element in svg.iter() if element.tag.endswith("}text")]
    assert len(texts) == ROWS + 3
    assert texts[0].text == "a < b & ?[1m 'c'"
