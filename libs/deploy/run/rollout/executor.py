"""Does a plan's steps in order and reports events; holds no decisions and takes nothing back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from deploy.core.planning.plan import Phase, Plan
from deploy.core.planning.steps import Step
from deploy.core.ports import Clock
from deploy.run.hosts.waiting import StoppableClock, StoppedError
from deploy.run.rollout.events import (
    Listener,
    PhaseBegun,
    StepBegun,
    StepDone,
    StepFailed,
)

Perform = Callable[[Step, Clock], None]
"""Does one step; its waits are by the clock that it is given, which stops with the whole."""


class PhaseFailedError(Exception):
    """A phase did not end; `errors` are all, an interrupt first, `by_host` those of its hosts."""

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
    plan: Plan, perform: Perform, clock: Clock, tell: Listener, *, most_hosts: int = 16
) -> None:
    """Carries a plan out, phase by phase. Raises PhaseFailedError; an interrupt counts as a failure.

    After a failure or an interrupt no step is begun and no wait goes on; a command that a host is at is let end,
    so that nothing of it runs when this returns.
    """
    for number, phase in enumerate(plan.phases, 1):
        try:
            tell(PhaseBegun(phase.name, number, len(plan.phases), len(phase.steps)))
            _run_phase(phase, perform, clock, tell, 1 if phase.one_by_one else most_hosts)
        except KeyboardInterrupt as interrupt:
            raise PhaseFailedError(phase, {}, [interrupt]) from interrupt


def _run_phase(
    phase: Phase, perform: Perform, clock: Clock, tell: Listener, most_hosts: int
) -> None:
    stop = threading.Event()
    stoppable = StoppableClock(clock, stop)

    def run_host(steps: Sequence[Step]) -> None:
        for step in steps:
            if stop.is_set():
                return
            try:
                _run_step(step, perform, stoppable, tell)
            except StoppedError:
                return
            except BaseException:
                if not phase.independent:
                    stop.set()
                raise

    by_host = _by_host(phase.steps)
    with ThreadPoolExecutor(max_workers=max(1, min(most_hosts, len(by_host)))) as pool:
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


def _run_step(step: Step, perform: Perform, clock: Clock, tell: Listener) -> None:
    begun = clock.monotonic()
    tell(StepBegun(step))
    try:
        perform(step, clock)
    except Exception as error:
        tell(StepFailed(step, clock.monotonic() - begun, error))
        raise
    tell(StepDone(step, clock.monotonic() - begun))


def _by_host(steps: Sequence[Step]) -> Mapping[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault(step.host, []).append(step)
    return found


def _errors(hosts: Iterable[str], futures: Sequence[Future[None]]) -> Mapping[str, BaseException]:
    """Those of hosts whose steps were begun at all."""
    ended = zip(hosts, futures, strict=False)
    return {host: error for host, future in ended if (error := future.exception()) is not None}
