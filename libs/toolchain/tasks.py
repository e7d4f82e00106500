"""Runs tasks that depend on each other: as many at once as the machine can use, the longest chain first."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from queue import Empty, SimpleQueue
from typing import Protocol

CORES = os.cpu_count() or 1
MOST_AT_ONCE = CORES + 1  # one of them usually waits for the network
POLL_S = 0.5  # a Ctrl-C that arrives just before a wait begins is noticed after it


@dataclass(frozen=True)
class Task:
    """One task. `download_mb` and `seconds` are estimates that the user sees; `seconds` also decides the order.

    `needs` are the names of tasks that must be done first. One that isn't among the tasks to run counts as done.
    `in_foreground` is for a task that handles Ctrl-C itself: it runs in the caller's thread. A task that `may_wait`
    isn't needed until the verb has begun: `ship up` runs it beside its other tasks.
    """

    title: str
    download_mb: int
    seconds: int
    run: Callable[[], object]
    name: str = ""
    needs: tuple[str, ...] = ()
    in_foreground: bool = False
    may_wait: bool = False

    @property
    def key(self) -> str:
        """The name that other tasks need it by."""
        return self.name or self.title


class Watcher(Protocol):
    """Hears how the tasks go."""

    def began(self, running: Sequence[Task]) -> None:
        """The first tasks run."""
        ...

    def done(self, task: Task, seconds: float, running: Sequence[Task]) -> None:
        """A task is done, and `running` are those that run now."""
        ...

    def failed(self, task: Task, seconds: float) -> None:
        """A task failed."""
        ...

    def stopping(self, running: Sequence[Task]) -> None:
        """After a failure or Ctrl-C nothing new is started, and `running` are being waited for."""
        ...


@dataclass(frozen=True)
class _Ended:
    task: Task
    seconds: float
    error: BaseException | None = None


def run_tasks(tasks: Sequence[Task], watcher: Watcher, *, most_at_once: int = MOST_AT_ONCE) -> None:
    """Runs the tasks, each after those that it needs, and of those that are ready the one with the longest chain first.

    After a failure or Ctrl-C no task is started; those that run are waited for, since a package manager must not be
    killed (a terminal's Ctrl-C reaches their programs too, and a second one ends the wait). Then the error is raised:
    the first task's, or KeyboardInterrupt. Raises graphlib.CycleError, before anything runs, if tasks need each other.
    """
    if tasks:
        _Run(tasks, watcher, most_at_once).run()


class _Run:
    def __init__(self, tasks: Sequence[Task], watcher: Watcher, most_at_once: int) -> None:
        self._tasks = {task.key: task for task in tasks}
        self._chains = chains(tasks)
        self._watcher = watcher
        self._most_at_once = most_at_once
        self._order = TopologicalSorter({
            task.key: [need for need in task.needs if need in self._tasks] for task in tasks
        })  # fmt: skip
        self._ready: list[Task] = []
        self._running: dict[str, Task] = {}
        self._ended: SimpleQueue[_Ended] = SimpleQueue()

    def run(self) -> None:
        self._order.prepare()
        try:
            self._start_ready()
            self._watcher.began(self._now_running())
            while self._running or self._ready:
                self._collect(self._run_in_foreground() or self._await_one())
        except BaseException:
            self._await_running()
            raise

    def _collect(self, ended: _Ended) -> None:
        self._running.pop(ended.task.key, None)
        if ended.error is not None:
            self._watcher.failed(ended.task, ended.seconds)
            raise ended.error
        self._order.done(ended.task.key)
        self._start_ready()
        self._watcher.done(ended.task, ended.seconds, self._now_running())

    def _start_ready(self) -> None:
        self._ready += [self._tasks[key] for key in self._order.get_ready()]
        self._ready.sort(key=lambda task: -self._chains[task.key])
        for task in [task for task in self._ready if not task.in_foreground]:
            if len(self._running) < self._most_at_once:
                self._ready.remove(task)
                self._running[task.key] = task
                # As a daemon it doesn't keep the process alive after a second Ctrl-C.
                run = contextvars.copy_context().run
                threading.Thread(
                    target=run, args=(self._run_in_background, task), name=task.key, daemon=True
                ).start()

    def _now_running(self) -> list[Task]:
        return [*self._running.values(), *[task for task in self._ready if task.in_foreground][:1]]

    def _run_in_background(self, task: Task) -> None:
        begun = time.monotonic()
        try:
            task.run()
        except BaseException as error:  # noqa: BLE001 - raised by the thread that collects it
            self._ended.put(_Ended(task, time.monotonic() - begun, error))
        else:
            self._ended.put(_Ended(task, time.monotonic() - begun))

    def _run_in_foreground(self) -> _Ended | None:
        """Runs the first ready task of the caller's thread and returns how it ended, None if there is none."""
        task = next((task for task in self._ready if task.in_foreground), None)
        if task is None:
            return None
        self._ready.remove(task)
        begun = time.monotonic()
        try:
            task.run()
        except Exception as error:  # noqa: BLE001 - raised when it is collected
            return _Ended(task, time.monotonic() - begun, error)
        return _Ended(task, time.monotonic() - begun)

    def _await_running(self) -> None:
        if self._running:
            self._watcher.stopping(list(self._running.values()))
        while self._running:
            del self._running[self._await_one().task.key]

    def _await_one(self) -> _Ended:
        while True:
            with suppress(Empty):
                return self._ended.get(timeout=POLL_S)


def chains(tasks: Sequence[Task]) -> Mapping[str, float]:
    """Returns for each task, by key, the seconds of the longest chain of tasks that begins with it.

    Raises graphlib.CycleError if tasks need each other.
    """
    known = {task.key: task for task in tasks}
    needs = {task.key: [need for need in task.needs if need in known] for task in tasks}
    longest = {task.key: float(task.seconds) for task in tasks}
    for key in reversed(list(TopologicalSorter(needs).static_order())):
        for need in needs[key]:
            longest[need] = max(longest[need], known[need].seconds + longest[key])
    return longest


def left_s(tasks: Sequence[Task], elapsed: Mapping[str, float], *, cores: int = CORES) -> float:
    """Returns about how many seconds these tasks take; `elapsed` has for those that run how long, by key.

    It is the longest chain, or all work divided by the cores if that is more.
    """
    rest = {task.key: max(1.0, task.seconds - elapsed.get(task.key, 0.0)) for task in tasks}
    longest = chains(tasks)
    ends = [longest[task.key] - task.seconds + rest[task.key] for task in tasks]
    return max([*ends, sum(rest.values()) / cores], default=0.0)
