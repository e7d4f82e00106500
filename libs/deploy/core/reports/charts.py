"""Line charts and timelines as SVG text that needs no script and no network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 24


@dataclass(frozen=True)
class Line:
    """A series: its name, its CSS class, and (x, y) points in the order of x."""

    name: str
    kind: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Bar:
    """A bar of a timeline: row, text, begin and end, CSS class, tooltip."""

    row: str
    text: str
    begun: float
    ended: float
    kind: str
    title: str


def line_chart(
    series: Sequence[Line],
    span: tuple[float, float],
    *,
    unit: str,
    marks: Mapping[str, float] | None = None,
    area: bool = False,
    gap_s: float = math.inf,
    most: float = math.inf,
) -> str:
    """Draws series over the seconds from `span[0]` to `span[1]`. `marks` are vertical lines with a name.

    Points further apart than `gap_s` aren't joined. No value is above `most`, so the axis ends there at the latest.
    """
    top = min(_nice(max((y for line in series for _, y in line.points), default=0.0)), most)
    begin, end = span

    def x(value: float) -> float:
        return _LEFT + (value - begin) / max(end - begin, 1e-9) * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y(v) + 3.5:.1f}" text-anchor="end">{_number(v)}</text>'
        for v in (0.0, top / 2, top)
    ]
    parts += [
        f'<text class="tick" x="{x(v):.1f}" y="{HEIGHT - 7}" text-anchor="middle">{_clock(v)}</text>'
        for v in _ticks(begin, end)
    ]
    for name, at in (marks or {}).items():
        if begin <= at <= end:
            parts.append(
                f'<line class="mark" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
                f'<text class="marked" x="{x(at) + (4 if x(at) < WIDTH * 0.8 else -4):.1f}" y="{_TOP + 8}" '
                f'text-anchor="{"start" if x(at) < WIDTH * 0.8 else "end"}">{escape(name)}</text>'
            )
    for line in series:
        for part in _parts(line.points, gap_s):
            if len(part) == 1:
                ((at, value),) = part
                parts.append(
                    f'<circle class="point {line.kind}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="2.5"/>'
                )
                continue
            points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in part)
            if area:
                edge = f"{x(part[-1][0]):.1f},{y(0):.1f} {x(part[0][0]):.1f},{y(0):.1f}"
                parts.append(f'<polygon class="area {line.kind}" points="{points} {edge}"/>')
            parts.append(f'<polyline class="line {line.kind}" points="{points}"/>')
    label = ", ".join(line.name for line in series)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}, {escape(unit)}">'
        f"{''.join(parts)}</svg>"
    )


def timeline_chart(bars: Sequence[Bar], end_s: float) -> str:
    """Draws bars in rows from 0 to `end_s` seconds."""
    rows = list(dict.fromkeys(bar.row for bar in bars))
    width, left, step = 1000, 150, 26
    height = step * len(rows) + 30

    def x(value: float) -> float:
        return left + value / max(end_s, 1e-9) * (width - left - 12)

    parts = [
        f'<line class="grid" x1="{x(v):.1f}" x2="{x(v):.1f}" y1="4" y2="{height - 22}"/>'
        f'<text class="tick" x="{x(v):.1f}" y="{height - 7}" text-anchor="middle">{_clock(v)}</text>'
        for v in _ticks(0.0, end_s)
    ]
    for number, row in enumerate(rows):
        y = 6 + number * step
        parts.append(
            f'<text class="row" x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(row)}</text>'
        )
        for bar in (bar for bar in bars if bar.row == row):
            wide = max(x(bar.ended) - x(bar.begun), 2.0)
            parts.append(
                f'<g><title>{escape(bar.title)}</title><rect class="bar {bar.kind}" x="{x(bar.begun):.1f}" '
                f'y="{y}" width="{wide:.1f}" height="{step - 8}" rx="3"/>'
            )
            if wide > 7.2 * len(bar.text):
                parts.append(
                    f'<text class="in" x="{x(bar.begun) + 6:.1f}" y="{y + 13}">{escape(bar.text)}</text>'
                )
            parts.append("</g>")
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="timeline">{"".join(parts)}</svg>'


def _parts(
    points: Sequence[tuple[float, float]], gap_s: float
) -> Iterable[Sequence[tuple[float, float]]]:
    """Yields the points in parts without a gap."""
    begin = 0
    for at in range(1, len(points) + 1):
        if at == len(points) or points[at][0] - points[at - 1][0] > gap_s:
            yield points[begin:at]
            begin = at


def _nice(most: float) -> float:
    """Returns the next larger round number, so that a chart is filled by more than half; 1 for 0."""
    if most <= 0:
        return 1.0
    power = 1e-6
    while power < 1e12:
        for factor in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8):
            if factor * power >= most * 1.02:
                return max(factor * power, 1e-6)
        power *= 10
    return most


def _ticks(begin: float, end: float) -> Iterable[float]:
    step = next(
        (s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600) if (end - begin) / s <= 9), 1800
    )
    first = int(begin // step) * step
    return [at for at in range(first, int(end) + 1, step) if begin <= at <= end]


def _clock(seconds: float) -> str:
    sign, whole = ("-" if seconds < 0 else ""), abs(round(seconds))
    return f"{sign}{whole // 60}:{whole % 60:02d}" if whole >= 60 else f"{sign}{whole} s"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == 0 else f"{value:g}"
