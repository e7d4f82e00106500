"""The order in which steps run, and what stops them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from deploy.core.planning.plan import Phase, PhaseKind, Plan
from deploy.core.planning.steps import PrepareHost, Step
from deploy.core.ports import Clock
from deploy.errors import UnhealthyError
from deploy.run.hosts.waiting import wait_until
from deploy.run.rollout.events import (
    Event,
    PhaseBegun,
    StepBegun,
    StepDone,
    StepFailed,
)
from deploy.run.rollout.executor import PhaseFailedError, execute
from deploy.testing.fleet.clock import SimulatedClock

FIRST, SECOND = PhaseKind.PREPARE, PhaseKind.START


def step(name: str) -> Step:
    """Returns a step: "a1" is on host "a"."""
    return PrepareHost(name[0], name)


def name_of(step: Step) -> str:
    assert step.because is not None
    return step.because


def phase(
    kind: PhaseKind, *steps: str, one_by_one: bool = False, independent: bool = False
) -> Phase:
    found = tuple(step(name) for name in steps)
    return Phase(kind, found, True, one_by_one, independent)


def plan(*phases: Phase) -> Plan:
    return Plan("app", None, None, phases)


def run(plan_: Plan, act: Callable[[str, Clock], None], clock: Clock | None = None) -> list[str]:
    """Executes a plan and returns the events in short."""
    log: list[str] = []
    lock = threading.Lock()

    def listen(event: Event) -> None:
        with lock:
            match event:
                case PhaseBegun(name=name, number=number, of=of):
                    log.append(f"{number}/{of} {name}")
                case StepDone(step=done):
                    log.append(name_of(done))
                case StepFailed(step=failed):
                    log.append(f"{name_of(failed)} failed")
                case _:
                    pass

    try:
        execute(
            plan_, lambda step, clock: act(name_of(step), clock), clock or SimulatedClock(), listen
        )
    except PhaseFailedError as failure:
        log.append(f"{failure.phase.name}: {', '.join(map(repr, failure.errors))}")
    return log


def nothing(name: str, clock: Clock) -> None:
    del name, clock


def failing(*names: str) -> Callable[[str, Clock], None]:
    def act(name: str, clock: Clock) -> None:
        del clock
        if name in names:
            raise UnhealthyError(name)

    return act


def test_phase_ends_on_all_hosts_before_the_next_begins() -> None:
    log = run(plan(phase(FIRST, "a1", "a2", "b1"), phase(SECOND, "b2", "a3")), nothing)
    assert (log[0], log[4]) == ("1/2 prepare", "2/2 start")
    assert set(log[1:4]) == {"a1", "a2", "b1"}
    assert log.index("a1") < log.index("a2")


def test_hosts_run_in_parallel() -> None:
    meet = threading.Barrier(3, timeout=10)

    def act(name: str, clock: Clock) -> None:
        meet.wait()

    assert set(run(plan(phase(FIRST, "a1", "b1", "c1")), act)) == {"1/1 prepare", "a1", "b1", "c1"}


def test_one_by_one_phase_runs_in_the_order_of_the_plan() -> None:
    log = run(plan(phase(FIRST, "b1", "b2", "a1", "c1", one_by_one=True)), nothing)
    assert log == ["1/1 prepare", "b1", "b2", "a1", "c1"]


def test_no_step_begins_after_a_failure() -> None:
    plan_ = plan(phase(FIRST, "a1", "a2", "b1", one_by_one=True), phase(SECOND, "a3"))
    log = run(plan_, failing("a1"))
    assert log == ["1/2 prepare", "a1 failed", "prepare: UnhealthyError('a1')"]


def test_failure_in_an_independent_phase_stops_no_other_host() -> None:
    log = run(
        plan(phase(FIRST, "a1", "a2", "b1", "b2", "c1", independent=True)), failing("a1", "c1")
    )
    assert {"a1 failed", "c1 failed", "b1", "b2"} < set(log)
    assert "a2" not in log
    assert log[-1] == "prepare: UnhealthyError('a1'), UnhealthyError('c1')"


def test_failure_stops_the_waits_of_other_hosts_and_is_the_one_reported() -> None:
    waiting = threading.Event()

    def act(name: str, clock: Clock) -> None:
        if name == "a1":
            waiting.set()
            wait_until(lambda: False, clock, deadline_s=1e12)
        waiting.wait(10)
        raise UnhealthyError(name)

    log = run(plan(phase(FIRST, "a1", "a2", "b1")), act)
    assert log[-1] == "prepare: UnhealthyError('b1')"
    assert "a2" not in log


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Handles SIGINT as on a terminal, even if the tests were started by `nohup` or with `&`, which ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_interrupt_stops_waits_but_lets_running_commands_end() -> None:
    done: list[str] = []
    at_it = threading.Barrier(2, timeout=10)

    def act(name: str, clock: Clock) -> None:
        if name == "a1":
            at_it.wait()
            wait_until(lambda: False, clock, deadline_s=1e12)
        else:
            at_it.wait()
            done.append(name)

    def interrupt(event: Event) -> None:
        if isinstance(event, StepBegun) and event.step.host == "b":
            import _thread

            _thread.interrupt_main()

    with pytest.raises(PhaseFailedError) as failure:
        execute(
            plan(phase(FIRST, "a1", "a2", "b1", "b2")),
            lambda step, clock: act(name_of(step), clock),
            SimulatedClock(),
            interrupt,
        )
    assert isinstance(failure.value.errors[0], KeyboardInterrupt)
    assert done == ["b1"]
