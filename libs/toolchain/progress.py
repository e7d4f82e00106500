"""Says on stderr what set-up does, how far it is and how long it takes; it never asks anything."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True)
class Task:
    """One thing that set-up does; size and seconds are estimates for people."""

    title: str
    download_mb: int
    seconds: int
    do: Callable[[], object]


def carry_out(tasks: Sequence[Task], out: TextIO | None = None) -> None:
    """Do the tasks in order, each with its place, its size and what all the rest will take."""
    out = out or sys.stderr
    started = time.monotonic()
    for number, task in enumerate(tasks, start=1):
        left = sum(each.seconds for each in tasks[number - 1 :])
        size = f" ({task.download_mb} MB)" if task.download_mb else ""
        print(
            f"[{number}/{len(tasks)}] {task.title}{size}, about {left} s left", file=out, flush=True
        )
        task.do()
    if tasks:
        print(f"set up in {time.monotonic() - started:.0f} s", file=out, flush=True)
