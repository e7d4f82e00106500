"""Charts as SVG, with and without data."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element, fromstring

import pytest

from deploy.core.reports.charts import (
    Bar,
    Line,
    line_chart,
    timeline_chart,
)


def test_line_charts_are_drawn_with_no_points_with_zeros_and_with_numbers() -> None:
    for points in ([], [(0.0, 0.0)], [(0.0, 1.0), (5.0, 99.0)]):
        text = line_chart(
            [Line("a & b", "new", points)],
            (0.0, 10.0),
            unit="<ms>",
            marks={"switch": 9.0},
            area=True,
        )
        drawn = fromstring(text)  # noqa: S314 - our own SVG
        assert len(drawn.findall("polyline")) == (len(points) > 1)
        assert len(drawn.findall("circle")) == (len(points) == 1)
        assert [text.text for text in drawn.findall("text") if text.text == "switch"] == ["switch"]


def _drawn(
    points: list[tuple[float, float]], *, gap_s: float = math.inf, most: float = math.inf
) -> Element:
    series = [Line("a", "new", points)]
    text = line_chart(series, (0.0, 60.0), unit="ms", gap_s=gap_s, most=most)
    return fromstring(text)  # noqa: S314 - our own SVG


def test_no_line_joins_points_with_a_gap_between_them() -> None:
    points = [(0.0, 1.0), (2.0, 1.0), (30.0, 5.0), (50.0, 1.0), (52.0, 2.0)]
    drawn = _drawn(points, gap_s=3.0)
    assert [len(line.attrib["points"].split()) for line in drawn.findall("polyline")] == [2, 2]
    assert len(drawn.findall("circle")) == 1


@pytest.mark.parametrize(
    ("highest", "most", "top"),
    [
        (100.0, 100.0, "100"),
        (100.0, math.inf, "120"),
        (0.0, 100.0, "1"),
        (2.9, math.inf, "3"),
        (310.0, math.inf, "400"),
    ],
)
def test_an_axis_fits_its_values(highest: float, most: float, top: str) -> None:
    drawn = _drawn([(0.0, highest)], most=most)
    ticks = [text.text for text in drawn.findall("text") if text.attrib["text-anchor"] == "end"]
    assert ticks[2] == top


def test_a_timeline_has_a_row_per_host_and_a_title_per_bar() -> None:
    bars = [
        Bar("host-1", "Pull", 0.0, 3.0, "step", "because <it> lacks"),
        Bar("host-2", "Pull", 0.0, 0.0, "failed", "x"),
    ]
    drawn = fromstring(timeline_chart(bars, 3.0))  # noqa: S314
    assert [title.text for title in drawn.iter("title")] == ["because <it> lacks", "x"]
    assert fromstring(timeline_chart([], 0.0)) is not None  # noqa: S314
