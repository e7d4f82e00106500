"""Tests of the order of tasks, of failure and Ctrl-C, and of the lines about them."""

import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from graphlib import CycleError
from pathlib import Path

import pytest

from toolchain.progress import Progress
from toolchain.tasks import Task, chains, left_s, run_tasks

WAIT_S = 20


@dataclass
class Heard:
    """A watcher that writes down what it hears."""

    lines: list[str] = field(default_factory=list)

    def began(self, running: Sequence[Task]) -> None:
        self.lines.append(f"began, now {names(running)}")

    def done(self, task: Task, seconds: float, running: Sequence[Task]) -> None:
        self.lines.append(f"{task.key} done, now {names(running)}")

    def failed(self, task: Task, seconds: float) -> None:
        self.lines.append(f"{task.key} failed")

    def stopping(self, running: Sequence[Task]) -> None:
        self.lines.append(f"waiting for {names(running)}")


def names(tasks: Sequence[Task]) -> str:
    return ", ".join(task.key for task in tasks) or "none"


def nothing() -> None: ...


def task(name: str, *needs: str, seconds: int = 1, run: Callable[[], object] = nothing) -> Task:
    return Task(name, 0, seconds, run, needs=needs)


def fail(message: str) -> None:
    raise ValueError(message)


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Sends SIGINT as a terminal does, even if the tests were started by `nohup`, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield partial(os.kill, os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@dataclass
class Until(Heard):
    """A watcher with an event for what it hears."""

    has_begun: threading.Event = field(default_factory=threading.Event)
    stops: threading.Event = field(default_factory=threading.Event)

    def began(self, running: Sequence[Task]) -> None:
        super().began(running)
        self.has_begun.set()

    def stopping(self, running: Sequence[Task]) -> None:
        super().stopping(running)
        self.stops.set()


def test_the_longest_chain_is_started_first() -> None:
    heard = Heard()
    tasks = [
        task("short", seconds=4),
        task("last of the chain", "middle", seconds=3),
        task("long", seconds=5),
        task("middle", "first", seconds=2),
        task("first", seconds=1),
    ]
    run_tasks(tasks, heard, most_at_once=1)
    assert heard.lines == [
        "began, now first",
        "first done, now long",  # 5 s; as long as middle and the last
        "long done, now middle",
        "middle done, now short",
        "short done, now last of the chain",
        "last of the chain done, now none",
    ]


def test_tasks_run_side_by_side_and_no_more_than_allowed() -> None:
    together = threading.Barrier(2, timeout=WAIT_S)
    at_once, most, lock = 0, 0, threading.Lock()

    def meet() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        together.wait()
        with lock:
            at_once -= 1

    run_tasks([task(f"task {n}", run=meet) for n in range(4)], Heard(), most_at_once=2)
    assert most == 2


def test_a_task_begins_after_all_that_it_needs_and_a_missing_need_counts_as_done() -> None:
    order: list[str] = []
    tasks = [
        task("c", "a", "b", run=partial(order.append, "c")),
        task("a", "installed before", run=partial(order.append, "a")),
        task("b", "a", run=partial(order.append, "b")),
    ]
    run_tasks(tasks, Heard(), most_at_once=3)
    assert order == ["a", "b", "c"]


def test_tasks_that_need_each_other_are_refused_before_any_runs() -> None:
    order: list[str] = []
    tasks = [
        task("a", "b", run=partial(order.append, "a")),
        task("b", "a", run=partial(order.append, "b")),
        task("c", run=partial(order.append, "c")),
    ]
    with pytest.raises(CycleError):
        run_tasks(tasks, Heard())
    assert order == []


def test_after_a_failure_nothing_starts_and_what_runs_is_waited_for() -> None:
    heard, ended = Until(), []

    def slow() -> None:
        assert heard.stops.wait(WAIT_S)
        ended.append("slow")

    def wrong() -> None:
        assert heard.has_begun.wait(WAIT_S)
        raise ValueError("no space left")

    tasks = [
        task("slow", seconds=9, run=slow),
        task("wrong", seconds=8, run=wrong),
        task("waits for a place", seconds=1, run=partial(ended.append, "never")),
        task("needs the wrong one", "wrong", run=partial(ended.append, "never")),
    ]
    with pytest.raises(ValueError, match="no space left"):
        run_tasks(tasks, heard, most_at_once=2)
    assert ended == ["slow"]
    assert heard.lines == ["began, now slow, wrong", "wrong failed", "waiting for slow"]


def test_ctrl_c_starts_nothing_more_and_waits_for_what_runs(ctrl_c: Callable[[], None]) -> None:
    heard, ended = Until(), []

    def slow() -> None:
        assert heard.has_begun.wait(WAIT_S)
        ctrl_c()
        assert heard.stops.wait(WAIT_S)
        ended.append("slow")

    tasks = [task("slow", run=slow), task("next", "slow", run=partial(ended.append, "never"))]
    with pytest.raises(KeyboardInterrupt):
        run_tasks(tasks, heard, most_at_once=1)
    assert ended == ["slow"]
    assert heard.lines == ["began, now slow", "waiting for slow"]


def test_a_second_ctrl_c_ends_the_wait(ctrl_c: Callable[[], None]) -> None:
    heard, never = Until(), threading.Event()
    ended: list[bool] = []

    def stuck() -> None:
        assert heard.has_begun.wait(WAIT_S)
        ctrl_c()
        assert heard.stops.wait(WAIT_S)
        ctrl_c()
        ended.append(never.wait(WAIT_S))

    with pytest.raises(KeyboardInterrupt):
        run_tasks([task("stuck", run=stuck)], heard)
    assert ended == []
    never.set()


def test_a_foreground_task_runs_in_the_callers_thread_beside_others() -> None:
    met, threads = threading.Barrier(2, timeout=WAIT_S), {}

    def meet(name: str) -> None:
        threads[name] = threading.current_thread()
        met.wait()

    heard = Heard()
    rollout = Task("rollout", 0, 1, partial(meet, "rollout"), in_foreground=True)
    run_tasks([task("browser", run=partial(meet, "browser")), rollout], heard, most_at_once=1)
    assert threads["rollout"] is threading.current_thread()
    assert threads["browser"] is not threading.current_thread()
    assert heard.lines[0] == "began, now browser, rollout"


def test_chains_and_the_time_left_follow_what_needs_what() -> None:
    tasks = [task("a", seconds=5), task("b", "a", seconds=7), task("c", seconds=4)]
    assert chains(tasks) == {"a": 12, "b": 7, "c": 4}
    assert left_s(tasks, {}, cores=2) == 12
    assert left_s(tasks, {}, cores=1) == 16
    assert left_s(tasks, {"a": 3.0}, cores=2) == 9
    assert left_s(tasks, {"a": 60.0}, cores=2) == 8  # it took longer than thought and may end soon
    assert left_s([], {}) == 0


def test_a_line_for_each_task_counts_them_and_says_what_runs_and_how_long() -> None:
    out = io.StringIO()
    tasks = [
        task("uv", seconds=8),
        task("Python", "uv", seconds=9),
        task("libraries", "Python", seconds=15),
    ]
    run_tasks(tasks, Progress(tasks, partial(print, file=out)))
    assert out.getvalue().splitlines() == [
        "[0/3] Now: uv (about 32 s left)",
        "[1/3] uv: 0 s. Now: Python (about 24 s left)",
        "[2/3] Python: 0 s. Now: libraries (about 15 s left)",
        "[3/3] libraries: 0 s",
    ]


def test_a_failure_names_its_task() -> None:
    out = io.StringIO()
    tasks = [task("uv", seconds=8, run=partial(fail, "x"))]
    with pytest.raises(ValueError, match="x"):
        run_tasks(tasks, Progress(tasks, partial(print, file=out)))
    assert out.getvalue().splitlines()[-1] == "failed: uv, after 0 s"


def test_the_trace_has_each_task_with_its_begin_and_duration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIP_TRACE", str(tmp_path / "trace.json"))
    begun = time.time()
    for _ in range(2):  # two programs append to one file
        tasks = [task("a"), task("b", "a")]
        run_tasks(tasks, Progress(tasks, lambda line: None))
    text = (tmp_path / "trace.json").read_text()
    events = json.loads(text.rstrip(",\n") + "]")
    assert [event["name"] for event in events] == ["a", "b", "a", "b"]
    assert all(begun - 1 < event["ts"] / 1e6 < begun + WAIT_S for event in events)
