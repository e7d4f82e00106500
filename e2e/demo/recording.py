"""Renders what the demo showed as an animated SVG, which README displays. It needs no script and no player."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from e2e.demo.screen import Line, Style

WIDTH, ROWS = 110, 26
CHARACTER, HEIGHT, MARGIN = 8.0, 18, 16
LONGEST_PAUSE_S = 1.2
END_S = 6.0
COLOURS = {
    Style.CAPTION: "#7fdbff",
    Style.COMMAND: "#ffffff",
    Style.OUTPUT: "#b8c0cc",
    Style.COUNTER: "#7ee787",
}


def times(lines: Sequence[Line]) -> list[float]:
    """Returns when each line appears in the recording, in which no pause is longer than LONGEST_PAUSE_S."""
    found: list[float] = []
    before, now = 0.0, 0.0
    for line in lines:
        now += min(line.at_s - before, LONGEST_PAUSE_S)
        before = line.at_s
        found.append(round(now, 2))
    return found


def render(lines: Sequence[Line], title: str) -> str:
    """Returns the SVG. Lines appear at their times, the text scrolls, and the whole repeats."""
    at = times(lines)
    total = (at[-1] if at else 0.0) + END_S
    width, height = WIDTH * CHARACTER + 2 * MARGIN, ROWS * HEIGHT + 2 * MARGIN
    texts = "\n".join(
        _text(number, line, begin, total)
        for number, (line, begin) in enumerate(zip(lines, at, strict=True))
    )
    scroll = _scroll(at, total)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" role="img" aria-label={quoteattr(title)}>
<title>{escape(title)}</title>
<style>
text {{ font: 13px ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre; }}
.line {{ opacity: 0; animation: {total:g}s step-end infinite; }}
.page {{ animation: scroll {total:g}s infinite step-end; }}
@keyframes scroll {{ {scroll} }}
@media (prefers-reduced-motion: reduce) {{ .line {{ opacity: 1; animation: none; }} .page {{ animation: none; }} }}
</style>
<rect width="{width:g}" height="{height}" rx="8" fill="#0d1117"/>
<clipPath id="window"><rect x="0" y="{MARGIN}" width="{width:g}" height="{ROWS * HEIGHT}"/></clipPath>
<g clip-path="url(#window)"><g class="page">
{texts}
</g></g>
</svg>
"""


def _text(number: int, line: Line, begin: float, total: float) -> str:
    y = MARGIN + (number + 1) * HEIGHT - 4
    percent = 100 * begin / total
    name = f"l{number}"
    weight = ' font-weight="bold"' if line.style in (Style.CAPTION, Style.COMMAND) else ""
    # XML has no control characters.
    plain = "".join(char if char.isprintable() else "?" for char in line.text)
    shown = plain if len(plain) <= WIDTH else f"{plain[: WIDTH - 1]}…"
    return (
        f"<style>@keyframes {name} {{ 0% {{ opacity: 0 }} {percent:.2f}%, 100% {{ opacity: 1 }} }}</style>"
        f'<text class="line" style="animation-name: {name}" x="{MARGIN}" y="{y}"'
        f' fill="{COLOURS[line.style]}"{weight}>{escape(shown)}</text>'
    )


def _scroll(at: Sequence[float], total: float) -> str:
    """Returns key frames that keep the newest line in the window."""
    frames = ["0% { transform: none }"]
    for number in range(ROWS, len(at)):
        percent = 100 * at[number] / total
        frames.append(
            f"{percent:.2f}% {{ transform: translateY(-{(number + 1 - ROWS) * HEIGHT}px) }}"
        )
    return " ".join(frames)
