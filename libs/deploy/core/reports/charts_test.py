"""Pictures as SVG: they are drawn of anything, also of nothing."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

from deploy.core.reports.charts import (
    Bar,
    Line,
    lines,
    timeline,
)


def test_lines_are_drawn_of_nothing_of_zeros_and_of_numbers() -> None:
    for points in ([], [(0.0, 0.0)], [(0.0, 1.0), (5.0, 99.0)]):
        text = lines(
            [Line("a & b", "new", points)],
            (0.0, 10.0),
            unit="<ms>",
            marks={"switch": 9.0},
            area=True,
        )
        drawn = fromstring(text)  # noqa: S314 - our own text
        assert len(drawn.findall("polyline")) == bool(points)
        assert [each.text for each in drawn.findall("text") if each.text == "switch"] == ["switch"]


def test_a_timeline_has_a_row_a_host_and_a_title_a_bar() -> None:
    bars = [
        Bar("host-1", "Pull", 0.0, 3.0, "step", "because <it> lacks"),
        Bar("host-2", "Pull", 0.0, 0.0, "failed", "x"),
    ]
    drawn = fromstring(timeline(bars, 3.0))  # noqa: S314
    assert [each.text for each in drawn.iter("title")] == ["because <it> lacks", "x"]
    assert fromstring(timeline([], 0.0)) is not None  # noqa: S314
