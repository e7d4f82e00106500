"""A rollout as a table with one row per host: its state from events, and its lines for a terminal."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

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

HEADS = ("host", "status", "steps", "phase", "time", "step")
CUT = ">"
"""The last character of a line that was cut off, as `less -S` shows it."""


class HostStatus(StrEnum):
    """What a host is doing, as the table shows it. If there is no room for all hosts, the first ones are shown."""

    FAILED = "failed"
    RUNNING = "running"
    REVERTING = "reverting"
    STOPPED = "stopped"
    WAITING = "waiting"
    REVERTED = "reverted"
    DONE = "done"


URGENT = tuple(HostStatus)
_COLOURS = {
    HostStatus.FAILED: "31",
    HostStatus.STOPPED: "33",
    HostStatus.REVERTING: "33",
    HostStatus.WAITING: "2",
    HostStatus.DONE: "32",
}


@dataclass(frozen=True)
class Row:
    """One host: `done` of `of` steps are done. `step` is its current or last step, `seconds` the time of that."""

    host: str
    of: int
    done: int = 0
    status: HostStatus = HostStatus.WAITING
    phase: str = ""
    step: str = ""
    seconds: float | None = None


class Board:
    """The rows of all hosts, updated by events. Thread-safe. All times are from one monotonic clock, in seconds."""

    def __init__(self, redact: Callable[[str], str] = str) -> None:
        self._redact = redact
        self._rows: dict[str, Row] = {}
        self._begun_s: dict[str, float] = {}
        self._phase = ""
        self._reverting = False
        self._lock = threading.Lock()

    def rows(self, now_s: float) -> tuple[Row, ...]:
        """Returns the rows as they are now, in the order of the hosts' names."""
        with self._lock:
            begun = self._begun_s
            return tuple(
                replace(row, seconds=now_s - begun[name]) if name in begun else row
                for name, row in sorted(self._rows.items())
            )

    @property
    def finished(self) -> bool:
        """Whether every step of the plan is done."""
        with self._lock:
            return all(row.done >= row.of for row in self._rows.values())

    def on_event(self, event: Event, now_s: float) -> None:
        """Updates the rows."""
        with self._lock:
            match event:
                case PlanMade(plan=plan, reverting=reverting):
                    steps = Counter(step.host for step in plan.steps)
                    new = {host: Row(host, of) for host, of in steps.items()}
                    # A host that the revert doesn't reach keeps the row that the failure left.
                    self._rows = self._rows | new if reverting else new
                    self._begun_s, self._reverting = {}, reverting
                case PhaseBegun(name=name, number=number, of=of):
                    self._phase = f"{number}/{of} {name}"
                case StepBegun(step=step):
                    self._begun_s[step.host] = now_s
                    busy = HostStatus.REVERTING if self._reverting else HostStatus.RUNNING
                    self._put(step, busy, None)
                case StepDone(step=step, seconds=seconds):
                    self._put(step, None, seconds, done=1)
                case StepFailed(step=step, seconds=seconds, error=StoppedError()):
                    self._put(step, HostStatus.STOPPED, seconds)
                case StepFailed(step=step, seconds=seconds, error=error):
                    self._put(step, HostStatus.FAILED, seconds, error=f": {error}")
                case Message():
                    pass

    def _put(
        self,
        step: Step,
        status: HostStatus | None,
        seconds: float | None,
        *,
        done: int = 0,
        error: str = "",
    ) -> None:
        if (row := self._rows.get(step.host)) is None:
            return
        done = min(row.of, row.done + done)
        if status is None:
            ended = HostStatus.REVERTED if self._reverting else HostStatus.DONE
            status = ended if done == row.of else HostStatus.WAITING
        if seconds is not None:
            self._begun_s.pop(step.host, None)
        text = self._redact(f"{step.subject}{error}")
        self._rows[step.host] = replace(
            row, done=done, status=status, phase=self._phase, step=text, seconds=seconds
        )


def render(rows: Sequence[Row], *, width: int, height: int) -> list[str]:
    """Returns the table's lines with colours: at most `height` of them, none wider than `width`.

    If there is no room for all hosts, it shows those that failed or are busy, and counts the others.
    """
    shown = _fitting(rows, max(1, height - 2)) if len(rows) > height - 1 else list(rows)
    cells = [HEADS, *(_cells(row) for row in shown)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADS) - 1)]
    lines = [_line(line, widths, width) for line in cells]
    painted = [
        _painted(line, _COLOURS.get(row.status, ""))
        for row, line in zip(shown, lines[1:], strict=True)
    ]
    found = [_painted(lines[0], "1"), *painted]
    if others := Counter(row.status for row in rows) - Counter(row.status for row in shown):
        counts = ", ".join(f"{others[status]} {status}" for status in URGENT if others[status])
        found.append(_cut(f"and {others.total()} more: {counts}", width))
    return found[:height]


def _fitting(rows: Sequence[Row], count: int) -> list[Row]:
    urgent = sorted(rows, key=lambda row: URGENT.index(row.status))[:count]
    return [row for row in rows if row in urgent]


def _cells(row: Row) -> tuple[str, ...]:
    seconds = "" if row.seconds is None else f"{row.seconds:.0f} s"
    return (row.host, row.status, f"{row.done}/{row.of}", row.phase, seconds, row.step)


def _line(cells: Sequence[str], widths: Sequence[int], width: int) -> str:
    padded = [cell.ljust(wide) for cell, wide in zip(cells, widths, strict=False)]
    return _cut("  ".join([*padded, cells[-1]]), width)


def _cut(line: str, width: int) -> str:
    """Replaces everything but printable ASCII: hosts' output may move the cursor or take two columns a character."""
    one_line = " ".join(line.splitlines())
    plain = "".join(char if " " <= char <= "~" else "?" for char in one_line)
    plain = plain.rstrip()
    return plain if len(plain) <= width else f"{plain[: max(0, width - 1)]}{CUT}"[:width]


def _painted(line: str, code: str) -> str:
    return f"\x1b[{code}m{line}\x1b[0m" if code and line else line
