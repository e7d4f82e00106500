"""Tests that the page and its picture are those of the runs in bench/runs."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

from bench.page import PAGE, PICTURE, ROOT, draw, read_runs, render_page
from bench.results import Bar, Run

BAR = Bar("web-1: start <5>", "StartReplicas", 0.0, 1.0)
RUN = Run("abc", "2026-01-01", {}, {"rollback_s": 2.5}, {}, deploy=(BAR, BAR))
EARLIER = Run("def", "2025-01-01", {}, {"rollback_s": 6.5}, {}, deploy=(BAR,))


@pytest.mark.parametrize(("name", "make"), [(PAGE, render_page), (PICTURE, draw)])
def test_what_is_committed_is_written_from_the_runs(
    name: str, make: Callable[[Run, Run | None], str]
) -> None:
    assert (ROOT / name).read_text() == make(*read_runs()), "run: python3 -m bench page"


@pytest.mark.parametrize(("earlier", "bars"), [(None, 2), (EARLIER, 3)])
def test_the_picture_has_a_bar_for_each_step(earlier: Run | None, bars: int) -> None:
    picture = ET.fromstring(draw(RUN, earlier))  # noqa: S314 - our own text
    assert sum(child.get("fill") == "#4477aa" for child in picture) == bars


def test_a_row_has_the_earlier_value_the_aim_and_whether_it_is_reached() -> None:
    assert "| rollback: the command |  | 2.50 s |  | 3.00 s | yes |" in render_page(RUN, None)
    assert "| rollback: the command |  | 6.50 s | 2.50 s |  | 3.00 s | yes |" in render_page(
        RUN, EARLIER
    )
