"""Shows how tasks go: a line for each that is done, with what runs now and the time left."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence

from toolchain.tasks import Task, left_s

TRACE_VARIABLE = "SHIP_TRACE"


class Progress:
    """Counts the tasks that are done and says so.

    If SHIP_TRACE names a file, each task is appended to it in Chrome's trace format, which chrome://tracing and
    https://ui.perfetto.dev show as a timeline.
    """

    def __init__(self, tasks: Sequence[Task], say: Callable[[str], None]) -> None:
        self._left = {task.key: task for task in tasks}
        self._count = len(tasks)
        self._say = say
        self._begun: dict[str, float] = {}

    def began(self, running: Sequence[Task]) -> None:
        """Says what runs first."""
        self._say(f"[0/{self._count}] {self._now(running)}")

    def done(self, task: Task, seconds: float, running: Sequence[Task]) -> None:
        """Says that a task is done, what runs now, and how long everything takes from here."""
        del self._left[task.key]
        _trace(task, seconds)
        line = f"[{self._count - len(self._left)}/{self._count}] {task.title}: {seconds:.0f} s"
        self._say(f"{line}. {self._now(running)}" if self._left else line)

    def failed(self, task: Task, seconds: float) -> None:
        """Says which task failed. The reason follows as the error of the whole."""
        _trace(task, seconds)
        self._say(f"failed: {task.title}, after {seconds:.0f} s")

    def stopping(self, running: Sequence[Task]) -> None:
        """Says what is still waited for."""
        self._say(f"waiting until these end: {_titles(running)}")

    def _now(self, running: Sequence[Task]) -> str:
        now = time.monotonic()
        for task in running:
            self._begun.setdefault(task.key, now)
        elapsed = {key: now - begun for key, begun in self._begun.items()}
        left = left_s(list(self._left.values()), elapsed)
        return f"Now: {_titles(running)} (about {left:.0f} s left)"


def _titles(tasks: Sequence[Task]) -> str:
    return "; ".join(task.title for task in tasks)


def _trace(task: Task, seconds: float) -> None:
    if path := os.environ.get(TRACE_VARIABLE):
        begun = time.time() - seconds
        lane = {"pid": os.getpid(), "tid": task.key}
        event = {"name": task.title, "ph": "X", "ts": int(begun * 1e6), "dur": int(seconds * 1e6)}
        with open(path, "a", encoding="utf-8") as file:
            # The format's closing bracket is optional, so that a program can append.
            file.write("[\n" if file.tell() == 0 else "")
            file.write(json.dumps(event | lane) + ",\n")
