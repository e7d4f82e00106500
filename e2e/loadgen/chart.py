"""Draws a load and the rollouts during it as one SVG chart: responses per second by release, failures, steps."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from e2e.loadgen.record import Record

WIDTH, LEFT, RIGHT, TOP, BOTTOM, PANEL, GAP, ROW = 1400, 60, 20, 64, 46, 240, 34, 13
COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#aa3377", "#bbbbbb")
"""Paul Tol's colours, which colour-blind readers can distinguish (https://personal.sas.upenn.edu/~jtm/)."""
LOST, INK, FAINT = "#cc1f1a", "#222222", "#dddddd"
MAX_BARS = 240


class UnfinishedStep(NamedTuple):
    """A step that began and did not end: its kind, and its line without the reason."""

    kind: str
    line: str


@dataclass(frozen=True)
class Mark:
    """A rollout in the chart.

    Times are seconds since the epoch. `title` is the service and its release, `steps` are the begins of its steps with
    their kinds, `unfinished` is the step that the deployer never finished.
    """

    begun: float
    ended: float
    title: str
    steps: tuple[tuple[float, str], ...] = ()
    unfinished: UnfinishedStep | None = None


def read_marks(files: Iterable[Path]) -> list[Mark]:
    """Reads rollouts from files that `--events` wrote, ordered by their begin. Skips files without a plan."""
    marks = []
    for file in files:
        events = [json.loads(line) for line in file.read_text().splitlines() if line]
        if any(event["event"] == "PlanMade" for event in events):
            marks.append(_mark(events))
    return sorted(marks, key=lambda mark: mark.begun)


def _mark(events: Sequence[Mapping[str, Any]]) -> Mark:
    moments = [datetime.fromisoformat(event["at"]).timestamp() for event in events]
    steps = tuple(
        (moment, str(event["step"]))
        for moment, event in zip(moments, events, strict=True)
        if event["event"] == "StepBegun"
    )
    plan = next(event for event in events if event["event"] == "PlanMade")
    unfinished = Counter(_step(event) for event in events if event["event"] == "StepBegun")
    unfinished -= Counter(_step(event) for event in events if event["event"] == "StepDone")
    title = f"{plan['service']} {plan['release']}"
    return Mark(moments[0], moments[-1], title, steps, next(iter(unfinished), None))


def _step(event: Mapping[str, Any]) -> UnfinishedStep:
    line = str(event["line"]).removesuffix(f" ({event['because']})")
    return UnfinishedStep(str(event["step"]), line)


def draw(record: Record, marks: Sequence[Mark], title: str) -> str:
    """Returns the text of the SVG."""
    begin = min(row.due for row in record.rows)
    end = max(*(row.due for row in record.rows), *(mark.ended for mark in marks), begin + 1)
    bar_s = max(1.0, (end - begin) / MAX_BARS)
    scale = _Scale(begin, end)
    bars, streams = int((end - begin) / bar_s) + 1, ("app", "fixture")
    lanes = _lanes(marks)
    height = TOP + len(streams) * (PANEL + GAP) + 60 + (max(lanes, default=0) + 1) * ROW + BOTTOM
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
            f'font-size="11" fill="{INK}"><rect width="{WIDTH}" height="{height}" fill="white"/>'
        ),
        f'<text x="{LEFT}" y="22" font-size="16">{html.escape(title)}</text>',
    ]
    top = TOP
    for stream in streams:
        parts += _panel(record.of(stream), stream, scale, top, bar_s, bars)
        top += PANEL + GAP
    parts += _failures(record, scale, top, bar_s, bars)
    parts += _rollouts(marks, lanes, scale, top + 60)
    parts += _axis(scale, height - BOTTOM + 16)
    return "\n".join([*parts, "</svg>\n"])


@dataclass(frozen=True)
class _Scale:
    begin: float
    end: float

    def x(self, moment: float) -> float:
        share = (moment - self.begin) / (self.end - self.begin)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def _panel(
    record: Record, name: str, scale: _Scale, top: int, bar_s: float, bars: int
) -> list[str]:
    """Draws the responses per second as stacked bars, one colour per release."""
    counts: list[Counter[str]] = [Counter() for _ in range(bars)]
    for row in record.rows:
        if not row.lost:
            counts[int((row.due - scale.begin) / bar_s)][row.release] += 1
    order = list(dict.fromkeys(row.release for row in record.rows if not row.lost))
    most = max((sum(bar.values()) for bar in counts), default=1) or 1
    out = [
        f'<text x="{LEFT}" y="{top - 6}">{name}: responses per second, one colour per release</text>',
        f'<text x="{LEFT - 6}" y="{top + 9}" text-anchor="end">{most / bar_s:.0f}</text>',
        f'<text x="{LEFT - 6}" y="{top + PANEL}" text-anchor="end">0</text>',
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top + PANEL}" y2="{top + PANEL}" stroke="{INK}"/>',
    ]
    width = (WIDTH - LEFT - RIGHT) * bar_s / (scale.end - scale.begin)
    for number, bar in enumerate(counts):
        low = float(top + PANEL)
        for release in (name for name in order if bar[name]):
            tall = bar[release] / most * PANEL
            low -= tall
            colour = COLOURS[order.index(release) % len(COLOURS)]
            x = scale.x(scale.begin + number * bar_s)
            out.append(
                f'<rect x="{x:.1f}" y="{low:.1f}" width="{width:.2f}" height="{tall:.1f}" fill="{colour}"/>'
            )
    return out


def _failures(record: Record, scale: _Scale, top: int, bar_s: float, bars: int) -> list[str]:
    lost = Counter(int((row.due - scale.begin) / bar_s) for row in record.lost)
    most, tall = max(lost.values(), default=1), 26
    out = [
        (
            f'<text x="{LEFT}" y="{top - 6}" fill="{LOST}">failed, reset or without a response for a minute: '
            f"{len(record.lost)} of {len(record.rows)}</text>"
        ),
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top + tall}" y2="{top + tall}" stroke="{LOST}"/>',
    ]
    for number in range(bars):
        if count := lost[number]:
            x, high = scale.x(scale.begin + number * bar_s), max(3, count / most * tall)
            out.append(
                f'<rect x="{x:.1f}" y="{top + tall - high:.1f}" width="4" height="{high:.1f}" fill="{LOST}"/>'
            )
    return out


def _lanes(marks: Sequence[Mark]) -> list[int]:
    """Returns the row of each mark, so that rollouts at about the same time don't cover each other."""
    free: list[float] = []
    lanes = []
    for mark in marks:
        lane = next((n for n, until in enumerate(free) if until <= mark.begun), len(free))
        free[lane : lane + 1] = [mark.ended]
        lanes.append(lane)
    return lanes


def _rollouts(marks: Sequence[Mark], lanes: Sequence[int], scale: _Scale, top: int) -> list[str]:
    out = [
        f'<text x="{LEFT}" y="{top - 10}">rollouts: one tick per step, red for a step that did not end</text>'
    ]
    for mark, lane in zip(marks, lanes, strict=True):
        y = top + lane * ROW
        x, end = scale.x(mark.begun), scale.x(mark.ended)
        out.append(
            f'<rect x="{x:.1f}" y="{y}" width="{max(end - x, 1):.1f}" height="8" fill="{FAINT}">'
            f"<title>{html.escape(mark.title)}</title></rect>"
        )
        out += [
            f'<line x1="{scale.x(moment):.1f}" x2="{scale.x(moment):.1f}" y1="{y}" y2="{y + 8}" stroke="{INK}" '
            f'stroke-width="0.6"><title>{html.escape(step)}</title></line>'
            for moment, step in mark.steps
        ]
        if mark.unfinished:
            out.append(
                f'<circle cx="{end:.1f}" cy="{y + 4}" r="3" fill="{LOST}">'
                f"<title>{html.escape(mark.unfinished.line)}</title></circle>"
            )
    return out


def _axis(scale: _Scale, y: int) -> list[str]:
    seconds = scale.end - scale.begin
    interval_s = next((step for step in (10, 30, 60, 300, 600) if seconds / step <= 16), 1800)
    return [
        f'<text x="{scale.x(scale.begin + at):.1f}" y="{y}" text-anchor="middle">'
        f"{at // 60}:{at % 60:02d}</text>"
        for at in range(0, int(seconds) + 1, interval_s)
    ]
