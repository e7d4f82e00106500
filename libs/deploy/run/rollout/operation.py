"""One operation under the lock: executes a plan, and reverts every host if that fails.

What a failure means and how to revert it differs between a rollout and a maintenance change, so each of them passes its
`Recovery`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from deploy.core.config import Service
from deploy.core.planning.plan import Plan
from deploy.core.planning.steps import Step
from deploy.core.ports import Clock
from deploy.core.state.fleet import FleetState
from deploy.core.state.ledger import Entry, EntryEvent, Outcome
from deploy.errors import LockedError, ShipError
from deploy.run.hosts.fanout import side_by_side
from deploy.run.hosts.locked_host import LockedHost
from deploy.run.hosts.observe import observe_reachable
from deploy.run.rollout.context import DeployContext, Result, RevertedError, StuckError, since
from deploy.run.rollout.events import Event, Listener, Message, PlanMade
from deploy.run.rollout.executor import PhaseFailedError, execute
from deploy.run.rollout.serving import ServingState
from deploy.run.steps.perform import StepContext, perform


class Recovery(Protocol):
    """What a failed operation does next, and the error that it ends with."""

    def without_revert(self, failure: PhaseFailedError) -> ShipError | None:
        """Returns the error for a failure after which nothing is reverted, None if every host must be reverted."""
        ...

    def plan_revert(self, before: FleetState, now: FleetState) -> Plan:
        """Returns the plan that brings these hosts from `now` to how they were `before`.

        Raises ShipError if there is no such plan.
        """
        ...

    def reverted_error(self, cause: BaseException, why: str, result: Result) -> RevertedError:
        """Returns the error for a failure (`why`) after which every host was reverted."""
        ...

    def stuck_error(self, why: str, reason: str, result: Result) -> StuckError:
        """Returns the error for a failure (`why`) whose revert failed as well (`reason`)."""
        ...


@dataclass(frozen=True)
class Operation:
    """An operation as the ledgers record it in `entry`.

    `hosts` are locked; `before` is how they were observed before the operation, `begun` when it began, on the monotonic
    clock. `on_end` gets the last entry, even if no ledger could be reached to write it.
    """

    context: DeployContext
    service: Service
    hosts: Mapping[str, LockedHost]
    entry: Entry
    before: FleetState
    begun: float
    emit: Listener
    on_end: Callable[[Entry], None] = lambda entry: None

    @cached_property
    def serving(self) -> ServingState:
        """What each host was last known to serve."""
        return ServingState(self.service.name, self.before)

    def run(self, plan: Plan, recovery: Recovery) -> None:
        """Executes the plan. Raises the recovery's error if it fails, LockedError if the lock was lost."""
        side_by_side(self.hosts.values(), lambda host: host.record(self.entry))
        try:
            self.execute(plan)
        except PhaseFailedError as failure:
            raise self._recover(failure, recovery) from failure.errors[0]

    def execute(self, plan: Plan, *, reverting: bool = False) -> None:
        """Performs a plan's steps as part of this operation. Raises PhaseFailedError."""
        deploy = self.context
        context = StepContext(
            deploy.environment,
            self.service,
            deploy.registry,
            deploy.probe,
            deploy.clock,
            {host.name: host for host in deploy.hosts},
            deploy.metrics,
            lambda: self.last_entry(Outcome.LIVE),
            lambda host, text: self.emit(Message(host, text)),
            deploy.secrets,
            detail=lambda text: self.emit(Message(None, text, detail=True)),
        )

        def perform_step(step: Step, clock: Clock) -> None:
            host = self.hosts[step.host].for_operation(self.entry)
            perform(step, host, replace(context, clock=clock))

        def emit(event: Event) -> None:
            self.serving.on_event(event)
            self.emit(event)

        emit(PlanMade(plan, reverting=reverting))
        execute(plan, perform_step, context.clock, emit)

    def observe(self) -> FleetState:
        """Returns how the hosts are now; one that can't be observed has a `problem`."""
        return observe_reachable(self.context.hosts)

    def last_entry(self, outcome: Outcome, why: str | None = None) -> Entry:
        """Returns the entry for an end now; without `why` it keeps the reason that was given for the operation."""
        return replace(
            self.entry,
            when=self.context.clock.now(),
            event=EntryEvent.ENDED,
            outcome=outcome,
            why=why.partition("\n")[0] if why else self.entry.why,
            seconds=since(self.context.clock, self.begun),
        )

    def result(self, outcome: Outcome) -> Result:
        """Returns the result of an end now."""
        entry, seconds = self.entry, since(self.context.clock, self.begun)
        return Result(entry.service, entry.release, entry.previous or None, outcome, seconds)

    def record_end(self, outcome: Outcome, why: str | None = None) -> None:
        """Writes the end into every ledger that can be reached; one that can't doesn't change the outcome."""
        last = self.last_entry(outcome, why)
        self.on_end(last)
        for host in self.hosts.values():
            try:
                host.record(last)
            except ShipError as error:
                text = f"the end of this operation is missing in the ledger: {error.message}"
                self.emit(Message(host.name, text))

    def _recover(self, failure: PhaseFailedError, recovery: Recovery) -> ShipError:
        lost = next((error for error in failure.errors if isinstance(error, LockedError)), None)
        if lost is not None:
            return lost  # another operation changes the hosts now: nothing may be reverted
        if (error := recovery.without_revert(failure)) is not None:
            return error
        why = reason_of(failure)
        if problems := self._revert(recovery):
            head, _, details = why.partition("\n")
            reason = "; ".join(problems)
            self.record_end(Outcome.STUCK, f"{head}; {reason}")
            reason = f"{reason}\n{details}" if details else reason
            stuck = recovery.stuck_error(head, reason, self.result(Outcome.STUCK))
            if isinstance(first := failure.errors[0], ShipError) and first.hint:
                stuck.hint = f"{first.hint}; {stuck.hint}"
            return stuck
        self.record_end(Outcome.REVERTED, why)
        return recovery.reverted_error(failure.errors[0], why, self.result(Outcome.REVERTED))

    def _revert(self, recovery: Recovery) -> list[str]:
        """Reverts every reachable host; returns for each host that wasn't reverted why, and what it serves."""
        now = self.observe()
        self.serving.on_observation(now)
        reachable = [
            (old, host) for old, host in zip(self.before, now, strict=True) if not host.problem
        ]
        problems: list[str] = []
        failed: Mapping[str, BaseException] = {}
        try:
            plan = recovery.plan_revert(
                FleetState(tuple(old for old, _ in reachable)),
                FleetState(tuple(host for _, host in reachable)),
            )
            self.execute(plan, reverting=True)
        except PhaseFailedError as failure:
            failed = failure.by_host
            problems += ["interrupted"] if len(failure.errors) > len(failed) else []
        except ShipError as error:
            problems.append(error.message)
        for host in now:
            name, serving = host.host, self.serving.of(host.host)
            if host.problem:
                why = host.problem.removeprefix(f"{name}: ")
                problems.append(f"{name} can't be reached ({why}), {serving}")
            elif (failure_of_host := failed.get(name)) is not None:
                why = _head(failure_of_host).removeprefix(f"{name}: ")
                problems.append(f"{name} failed ({why}), {serving}")
        return problems


def reason_of(error: BaseException) -> str:
    """Returns why something failed. For a phase: the reason of each host, then the details of the first."""
    match error:
        case PhaseFailedError(errors=(first, *others)):
            _, newline, details = reason_of(first).partition("\n")
            heads = dict.fromkeys(_head(other) for other in (first, *others))
            return "; ".join(heads) + newline + details
        case KeyboardInterrupt():
            return "interrupted"
        case ShipError(message=message):
            return message
        case _:
            return f"{type(error).__name__} {error}".strip()


def _head(error: BaseException) -> str:
    return reason_of(error).partition("\n")[0]
