"""Executes a plan: performs its steps in order and emits events. It decides nothing and reverts nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from deploy.core.planning.plan import Phase, Plan
from deploy.core.planning.steps import Step
from deploy.core.ports import Clock
from deploy.run.hosts.fanout import MOST_HOSTS
from deploy.run.hosts.waiting import StoppableClock, StoppedError
from deploy.run.rollout.events import (
    Listener,
    PhaseBegun,
    StepBegun,
    StepDone,
    StepFailed,
)

Perform = Callable[[Step, Clock], None]
"""Performs one step. Its waits use the given clock, which stops when the execution does."""


class PhaseFailedError(Exception):
    """A phase failed. `by_host` are the errors of its hosts; `errors` are these and interrupts, an interrupt first."""

    def __init__(
        self,
        phase: Phase,
        by_host: Mapping[str, BaseException],
        interrupts: Sequence[KeyboardInterrupt] = (),
    ) -> None:
        self.phase = phase
        self.by_host = dict(by_host)
        self.errors: tuple[BaseException, ...] = (*interrupts, *by_host.values())
        super().__init__(f"{phase.name}: {self.errors[0]}")


def execute(
    plan: Plan, perform: Perform, clock: Clock, emit: Listener, *, max_hosts: int = MOST_HOSTS
) -> None:
    """Executes a plan phase by phase. Raises PhaseFailedError; an interrupt counts as a failure.

    After a failure or an interrupt no step begins and all waits stop. Commands that are running on hosts are awaited,
    so that none runs any more when this returns.
    """
    for number, phase in enumerate(plan.phases, 1):
        try:
            emit(PhaseBegun(phase.name, number, len(plan.phases), len(phase.steps)))
            _run_phase(phase, perform, clock, emit, 1 if phase.one_by_one else max_hosts)
        except KeyboardInterrupt as interrupt:
            raise PhaseFailedError(phase, {}, [interrupt]) from interrupt


def _run_phase(
    phase: Phase, perform: Perform, clock: Clock, emit: Listener, max_hosts: int
) -> None:
    stop = threading.Event()
    stoppable = StoppableClock(clock, stop)

    def run_host(steps: Sequence[Step]) -> None:
        for step in steps:
            if stop.is_set():
                return
            try:
                _run_step(step, perform, stoppable, emit)
            except StoppedError:
                return
            except BaseException:
                if not phase.independent:
                    stop.set()
                raise

    by_host = _by_host(phase.steps)
    with ThreadPoolExecutor(max_workers=max(1, min(max_hosts, len(by_host)))) as pool:
        futures: list[Future[None]] = []
        interrupts: list[KeyboardInterrupt] = []
        try:
            futures += (pool.submit(run_host, steps) for steps in by_host.values())
            wait(futures)
        except KeyboardInterrupt as interrupt:
            stop.set()
            interrupts.append(interrupt)
            wait(futures)
    failed = _errors(by_host, futures)
    if interrupts or failed:
        failure = PhaseFailedError(phase, failed, interrupts)
        raise failure from failure.errors[0]


def _run_step(step: Step, perform: Perform, clock: Clock, emit: Listener) -> None:
    begun = clock.monotonic()
    emit(StepBegun(step))
    try:
        perform(step, clock)
    except Exception as error:
        emit(StepFailed(step, clock.monotonic() - begun, error))
        raise
    emit(StepDone(step, clock.monotonic() - begun))


def _by_host(steps: Sequence[Step]) -> Mapping[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault(step.host, []).append(step)
    return found


def _errors(hosts: Iterable[str], futures: Sequence[Future[None]]) -> Mapping[str, BaseException]:
    """Returns the errors by host; a host whose steps never began has none."""
    ended = zip(hosts, futures, strict=False)
    return {host: error for host, future in ended if (error := future.exception()) is not None}
