"""Charts as SVG, with and without data."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

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
        assert len(drawn.findall("polyline")) == bool(points)
        assert [text.text for text in drawn.findall("text") if text.text == "switch"] == ["switch"]


def test_a_timeline_has_a_row_per_host_and_a_title_per_bar() -> None:
    bars = [
        Bar("host-1", "Pull", 0.0, 3.0, "step", "because <it> lacks"),
        Bar("host-2", "Pull", 0.0, 0.0, "failed", "x"),
    ]
    drawn = fromstring(timeline_chart(bars, 3.0))  # noqa: S314
    assert [title.text for title in drawn.iter("title")] == ["because <it> lacks", "x"]
    assert fromstring(timeline_chart([], 0.0)) is not None  # noqa: S314
