"""Runs the tasks of set-up and prints on stderr the current one, how many there are and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True)
class Task:
    """One step of set-up. `download_mb` and `seconds` are estimates that the user sees."""

    title: str
    download_mb: int
    seconds: int
    run: Callable[[], object]


def run_tasks(tasks: Sequence[Task], out: TextIO | None = None) -> None:
    """Runs the tasks in order. Prints before each its number, download size and the time left."""
    out = out or sys.stderr
    started = time.monotonic()
    for number, task in enumerate(tasks, start=1):
        left_s = sum(remaining.seconds for remaining in tasks[number - 1 :])
        size = f" ({task.download_mb} MB)" if task.download_mb else ""
        print(
            f"[{number}/{len(tasks)}] {task.title}{size}, about {left_s} s left",
            file=out,
            flush=True,
        )
        task.run()
    if tasks:
        print(f"set-up took {time.monotonic() - started:.0f} s", file=out, flush=True)
