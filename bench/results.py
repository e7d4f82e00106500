"""The results of a benchmark, and the table that compares two of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Results:
    """The results of one way to deploy. Sizes are in bytes, times in seconds, `requests_per_s` per second."""

    image: int
    pushed_after_change: int
    first_answer_s: float
    requests_per_s: float
    live_after_s: float
    redeploy_s: float
    sent: int
    lost: int
    p99_s: float


@dataclass(frozen=True)
class Row:
    """A row of the table. `better` is "less" or "more"."""

    name: str
    value: Callable[[Results], float]
    text: Callable[[Results], str]
    better: str


ROWS = (
    Row("image size", lambda r: r.image, lambda r: f"{r.image / 1e6:.1f} MB", "less"),
    Row(
        "pushed after a one-line change",
        lambda r: r.pushed_after_change,
        lambda r: f"{r.pushed_after_change / 1e3:.1f} kB",
        "less",
    ),
    Row(
        "start to first answer",
        lambda r: r.first_answer_s,
        lambda r: f"{r.first_answer_s:.2f} s",
        "less",
    ),
    Row(
        "GET /api/monitor through nginx",
        lambda r: r.requests_per_s,
        lambda r: f"{r.requests_per_s:.0f} /s",
        "more",
    ),
    Row("requests lost in a redeploy", lambda r: r.lost, lambda r: f"{r.lost} of {r.sent}", "less"),
    Row(
        "p99 of answered requests", lambda r: r.p99_s, lambda r: f"{r.p99_s * 1000:.0f} ms", "less"
    ),
    Row(
        "all users on the new release after",
        lambda r: r.live_after_s,
        lambda r: f"{r.live_after_s:.1f} s",
        "less",
    ),
    Row(
        "the command ends after", lambda r: r.redeploy_s, lambda r: f"{r.redeploy_s:.1f} s", "less"
    ),
)


def render(project: Results, plain: Results) -> str:
    """Returns a table of both results and the ratio of this project's to those of plain Compose."""
    lines = [("", "this project", "plain Compose", "ratio", "")]
    for row in ROWS:
        quotient = ratio(row.value(project), row.value(plain))
        texts = (row.text(project), row.text(plain), quotient)
        lines.append((row.name, *texts, f"{row.better} is better"))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(line[n].rjust(widths[n]) for n in (1, 2, 3)), line[4]]
        ).rstrip()
        for line in lines
    )


def ratio(project: float, plain: float) -> str:
    """Returns `project` divided by `plain`, "-" if `plain` is 0."""
    return f"{project / plain:.2f}" if plain else "-"
