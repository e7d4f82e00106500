"""The order of steps, and what stops them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from deploy.core.planning.plan import Phase, Plan
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


def step(name: str) -> Step:
    """A step "a1" on host "a"."""
    return PrepareHost(name[0], name)


def phase(name: str, *steps: str, one_by_one: bool = False, independent: bool = False) -> Phase:
    return Phase(name, tuple(step(each) for each in steps), True, one_by_one, independent)


def plan(*phases: Phase) -> Plan:
    return Plan("app", None, "", phases)


def run(plan_: Plan, act: Callable[[str, Clock], None], clock: Clock | None = None) -> list[str]:
    """Executes, returns what was told, in short."""
    told: list[str] = []
    begun = threading.Lock()

    def tell(event: Event) -> None:
        with begun:
            match event:
                case PhaseBegun(name=name, number=number, of=of):
                    told.append(f"{number}/{of} {name}")
                case StepDone(step=done):
                    told.append(done.because)
                case StepFailed(step=failed):
                    told.append(f"{failed.because} failed")
                case _:
                    pass

    try:
        execute(plan_, lambda each, by: act(each.because, by), clock or SimulatedClock(), tell)
    except PhaseFailedError as failure:
        told.append(f"{failure.phase.name}: {', '.join(map(repr, failure.errors))}")
    return told


def nothing(name: str, clock: Clock) -> None:
    del name, clock


def failing(*names: str) -> Callable[[str, Clock], None]:
    def act(name: str, clock: Clock) -> None:
        del clock
        if name in names:
            raise UnhealthyError(name)

    return act


def test_a_phase_is_over_on_all_hosts_before_the_next_begins() -> None:
    told = run(plan(phase("one", "a1", "a2", "b1"), phase("two", "b2", "a3")), nothing)
    assert (told[0], told[4]) == ("1/2 one", "2/2 two")
    assert set(told[1:4]) == {"a1", "a2", "b1"}
    assert told.index("a1") < told.index("a2")


def test_hosts_go_side_by_side() -> None:
    meet = threading.Barrier(3, timeout=10)

    def act(name: str, clock: Clock) -> None:
        meet.wait()

    assert set(run(plan(phase("one", "a1", "b1", "c1")), act)) == {"1/1 one", "a1", "b1", "c1"}


def test_one_by_one_is_in_the_order_of_the_plan() -> None:
    told = run(plan(phase("one", "b1", "b2", "a1", "c1", one_by_one=True)), nothing)
    assert told == ["1/1 one", "b1", "b2", "a1", "c1"]


def test_after_a_failure_nothing_more_is_begun() -> None:
    plan_ = plan(phase("one", "a1", "a2", "b1", one_by_one=True), phase("two", "a3"))
    told = run(plan_, failing("a1"))
    assert told == ["1/2 one", "a1 failed", "one: UnhealthyError('a1')"]


def test_independent_hosts_end_each_for_itself() -> None:
    told = run(
        plan(phase("one", "a1", "a2", "b1", "b2", "c1", independent=True)), failing("a1", "c1")
    )
    assert {"a1 failed", "c1 failed", "b1", "b2"} < set(told)
    assert "a2" not in told
    assert told[-1] == "one: UnhealthyError('a1'), UnhealthyError('c1')"


def test_a_failure_ends_the_waits_of_the_other_hosts_and_is_the_one_that_is_told() -> None:
    waiting = threading.Event()

    def act(name: str, clock: Clock) -> None:
        if name == "a1":
            waiting.set()
            wait_until(lambda: False, clock, deadline_s=1e12)
        waiting.wait(10)
        raise UnhealthyError(name)

    told = run(plan(phase("one", "a1", "a2", "b1")), act)
    assert told[-1] == "one: UnhealthyError('b1')"
    assert "a2" not in told


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as a terminal has it, where whoever started the tests ignores it, as `nohup` and `&` do."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_waits_for_no_deadline_but_for_the_command_in_flight() -> None:
    done: list[str] = []
    at_it = threading.Barrier(2, timeout=10)

    def act(name: str, clock: Clock) -> None:
        if name == "a1":
            at_it.wait()
            wait_until(lambda: False, clock, deadline_s=1e12)
        else:
            at_it.wait()
            done.append(name)

    def tell(event: Event) -> None:
        if isinstance(event, StepBegun) and event.step.host == "b":
            import _thread

            _thread.interrupt_main()

    with pytest.raises(PhaseFailedError) as failure:
        execute(
            plan(phase("one", "a1", "a2", "b1", "b2")),
            lambda s, c: act(s.because, c),
            SimulatedClock(),
            tell,
        )
    assert isinstance(failure.value.errors[0], KeyboardInterrupt)
    assert done == ["b1"]
