"""A rollout as a table, a row a host: what is known of each, and how it looks; never draws."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from deploy.core.planning.step_lines import describe
from deploy.core.planning.steps import Step
from deploy.run.hosts.waiting import StoppedError
from deploy.run.rollout.events import (
    Event,
    Message,
    PhaseBegun,
    PlanMade,
    StepBegun,
    StepDone,
    StepFailed,
)

HEADS = ("host", "outcome", "steps", "phase", "time", "step")
URGENT = ("failed", "runs", "goes back", "stopped", "waits", "taken back", "done")
"""Outcomes in the order in which they are shown where there is no room for all hosts."""
_COLOURS = {"failed": "31", "stopped": "33", "goes back": "33", "waits": "2", "done": "32"}
CUT = ">"
"""The last character of a line that was cut off, as `less -S` has it."""


@dataclass(frozen=True)
class Row:
    """One host: how far it is (`done` of `of` steps) and its step under way, or the last one, with its seconds."""

    host: str
    of: int
    done: int = 0
    outcome: str = "waits"
    phase: str = ""
    step: str = ""
    seconds: float | None = None


class Board:
    """Hears events and knows every host's row. Times are on one monotonic clock, in seconds; safe between threads."""

    def __init__(self, redact: Callable[[str], str] = str) -> None:
        self._redact = redact
        self._rows: dict[str, Row] = {}
        self._begun_s: dict[str, float] = {}
        self._phase = ""
        self._reverting = False
        self._lock = threading.Lock()

    def rows(self, now_s: float) -> tuple[Row, ...]:
        """Returns the rows as they are now, by the names of hosts."""
        with self._lock:
            begun = self._begun_s
            return tuple(
                replace(row, seconds=now_s - begun[name]) if name in begun else row
                for name, row in sorted(self._rows.items())
            )

    @property
    def finished(self) -> bool:
        """True once every step of the plan is done."""
        with self._lock:
            return all(row.done >= row.of for row in self._rows.values())

    def hear(self, event: Event, now_s: float) -> None:
        """Takes in one event."""
        with self._lock:
            match event:
                case PlanMade(plan=plan, reverting=reverting):
                    steps = Counter(step.host for step in plan.steps)
                    new = {host: Row(host, of) for host, of in steps.items()}
                    # A host that the way back doesn't reach stays as the failure left it.
                    self._rows = self._rows | new if reverting else new
                    self._begun_s, self._reverting = {}, reverting
                case PhaseBegun(name=name, number=number, of=of):
                    self._phase = f"{number}/{of} {name}"
                case StepBegun(step=step):
                    self._begun_s[step.host] = now_s
                    self._put(step, "goes back" if self._reverting else "runs", None)
                case StepDone(step=step, seconds=seconds):
                    self._put(step, "", seconds, done=1)
                case StepFailed(step=step, seconds=seconds, error=StoppedError()):
                    self._put(step, "stopped", seconds)
                case StepFailed(step=step, seconds=seconds, error=error):
                    self._put(step, "failed", seconds, error=f": {error}")
                case Message():
                    pass

    def _put(
        self, step: Step, outcome: str, seconds: float | None, *, done: int = 0, error: str = ""
    ) -> None:
        if (row := self._rows.get(step.host)) is None:
            return
        done = min(row.of, row.done + done)
        if not outcome:
            ended = "taken back" if self._reverting else "done"
            outcome = ended if done == row.of else "waits"
        if seconds is not None:
            self._begun_s.pop(step.host, None)
        what = self._redact(f"{describe(step).removeprefix(f'{step.host}: ')}{error}")
        self._rows[step.host] = replace(
            row, done=done, outcome=outcome, phase=self._phase, step=what, seconds=seconds
        )


def render(rows: Sequence[Row], *, width: int, height: int) -> list[str]:
    """Returns the table's lines, none wider than `width` and at most `height`, with colours.

    Where not all hosts have room, those that failed or are at work are shown, and how many others there are.
    """
    shown = _fitting(rows, max(1, height - 2)) if len(rows) > height - 1 else list(rows)
    cells = [HEADS, *(_cells(row) for row in shown)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADS) - 1)]
    lines = [_line(line, widths, width) for line in cells]
    painted = [
        _painted(line, _COLOURS.get(row.outcome, ""))
        for row, line in zip(shown, lines[1:], strict=True)
    ]
    found = [_painted(lines[0], "1"), *painted]
    if others := Counter(row.outcome for row in rows) - Counter(row.outcome for row in shown):
        told = ", ".join(f"{others[each]} {each}" for each in URGENT if others[each])
        found.append(_cut(f"and {others.total()} more: {told}", width))
    return found[:height]


def _fitting(rows: Sequence[Row], count: int) -> list[Row]:
    urgent = sorted(rows, key=lambda row: URGENT.index(row.outcome))[:count]
    return [row for row in rows if row in urgent]


def _cells(row: Row) -> tuple[str, ...]:
    took = "" if row.seconds is None else f"{row.seconds:.0f} s"
    return (row.host, row.outcome, f"{row.done}/{row.of}", row.phase, took, row.step)


def _line(cells: Sequence[str], widths: Sequence[int], width: int) -> str:
    padded = [cell.ljust(wide) for cell, wide in zip(cells, widths, strict=False)]
    return _cut("  ".join([*padded, cells[-1]]), width)


def _cut(line: str, width: int) -> str:
    """One cell a character and nothing that moves the cursor: what hosts say is in it."""
    plain = "".join(each if " " <= each <= "~" else "?" for each in " ".join(line.splitlines()))
    plain = plain.rstrip()
    return plain if len(plain) <= width else f"{plain[: max(0, width - 1)]}{CUT}"[:width]


def _painted(line: str, code: str) -> str:
    return f"\x1b[{code}m{line}\x1b[0m" if code and line else line
