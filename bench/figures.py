"""What is measured, as values, and the table that shows two of them side by side; never measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """One way's results. Sizes in bytes, times in seconds, rates per second."""

    image: int
    pushed_after_change: int
    first_answer: float
    requests: float
    live_after: float
    redeploy: float
    sent: int
    lost: int
    p99: float


@dataclass(frozen=True)
class Row:
    """A line of the table; `better` says which end of the ratio is good."""

    name: str
    value: Callable[[Figures], float]
    text: Callable[[Figures], str]
    better: str


ROWS = (
    Row("image size", lambda f: f.image, lambda f: f"{f.image / 1e6:.1f} MB", "less"),
    Row(
        "pushed after a one-line change",
        lambda f: f.pushed_after_change,
        lambda f: f"{f.pushed_after_change / 1e3:.1f} kB",
        "less",
    ),
    Row(
        "start to first answer",
        lambda f: f.first_answer,
        lambda f: f"{f.first_answer:.2f} s",
        "less",
    ),
    Row(
        "GET /api/monitor through nginx",
        lambda f: f.requests,
        lambda f: f"{f.requests:.0f} /s",
        "more",
    ),
    Row("requests lost in a redeploy", lambda f: f.lost, lambda f: f"{f.lost} of {f.sent}", "less"),
    Row("p99 of those answered", lambda f: f.p99, lambda f: f"{f.p99 * 1000:.0f} ms", "less"),
    Row(
        "all users on the new one after",
        lambda f: f.live_after,
        lambda f: f"{f.live_after:.1f} s",
        "less",
    ),
    Row("the command ends after", lambda f: f.redeploy, lambda f: f"{f.redeploy:.1f} s", "less"),
)


def render(ours: Figures, plain: Figures) -> str:
    """Writes both ways side by side with the ratio of ours to the plain one."""
    lines = [("", "this project", "plain way", "ratio", "")]
    for row in ROWS:
        told = ratio(row.value(ours), row.value(plain))
        lines.append((row.name, row.text(ours), row.text(plain), told, f"{row.better} is better"))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(line[n].rjust(widths[n]) for n in (1, 2, 3)), line[4]]
        ).rstrip()
        for line in lines
    )


def ratio(ours: float, plain: float) -> str:
    """Ours as a multiple of the plain way's, "-" where that is nothing."""
    return f"{ours / plain:.2f}" if plain else "-"
