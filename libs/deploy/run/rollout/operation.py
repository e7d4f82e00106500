"""One operation under the lock: carries a plan out, or takes every host back; never decides what is wanted.

What its failure means is the `Aim`'s to say: a release that is rolled out and a service that is closed go back
differently, and are told of differently.
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
from deploy.core.state.ledger import Entry
from deploy.errors import LockedError, ShipError
from deploy.run.hosts.locked_host import LockedHost
from deploy.run.hosts.observe import observe_what_answers
from deploy.run.rollout.context import (
    DeployContext,
    Outcome,
    RevertedError,
    StuckError,
    since,
)
from deploy.run.rollout.events import (
    Event,
    Listener,
    Message,
    PlanMade,
)
from deploy.run.rollout.executor import PhaseFailedError, execute
from deploy.run.rollout.serving import ServingState
from deploy.run.steps.perform import StepContext, perform

type Seen = FleetState


class Aim(Protocol):
    """What an operation was for, asked once it failed."""

    def end_without_way_back(self, failure: PhaseFailedError) -> ShipError | None:
        """Returns what it ends with where nothing is to be taken back, None where every host is."""
        ...

    def way_back(self, before: Seen, now: Seen) -> Plan:
        """Returns what brings these hosts to how they were `before`. Raises ShipError where nothing does."""
        ...

    def taken_back(self, why: str, end: Outcome) -> RevertedError:
        """Returns the error for a failure after which every host is as it was."""
        ...

    def stuck(self, why: str, reason: str, end: Outcome) -> StuckError:
        """Returns the error for a failure (`why`) whose taking back failed, too (`reason`)."""
        ...


@dataclass(frozen=True)
class Operation:
    """What stands in the ledgers as `entry`, on hosts that were seen as `before` it; `begun` is on the monotonic clock.

    `ended` hears its last entry, also where no ledger could be reached to write it.
    """

    context: DeployContext
    service: Service
    held: Mapping[str, LockedHost]
    entry: Entry
    before: Seen
    begun: float
    tell: Listener
    ended: Callable[[Entry], None] = lambda entry: None

    @cached_property
    def known(self) -> ServingState:
        """What each host was last known to serve."""
        return ServingState(self.service.name, self.before)

    def run(self, plan: Plan, aim: Aim) -> None:
        """Carries the plan out. Raises what the aim makes of a failure, LockedError where the lock was lost."""
        for held in self.held.values():
            held.record(self.entry)
        try:
            self.execute(plan)
        except PhaseFailedError as failure:
            raise self._ending(failure, aim) from failure.errors[0]

    def execute(self, plan: Plan, *, reverting: bool = False) -> None:
        """Does a plan's steps in this operation's name. Raises PhaseFailedError."""
        deploy = self.context
        context = StepContext(
            deploy.environment,
            self.service,
            deploy.registry,
            deploy.probe,
            deploy.clock,
            {host.name: host for host in deploy.hosts},
            deploy.metrics,
            lambda: self.last_entry("live"),
            lambda host, text: self.tell(Message(host, text)),
            deploy.vault,
        )

        def do(step: Step, clock: Clock) -> None:
            perform(step, self.held[step.host].under(self.entry), replace(context, clock=clock))

        def tell(event: Event) -> None:
            self.known.hear(event)
            self.tell(event)

        tell(PlanMade(plan, reverting=reverting))
        execute(plan, do, context.clock, tell)

    def look(self) -> Seen:
        """Returns how the hosts are now; one that can't be looked at has a problem."""
        return observe_what_answers(self.context.hosts)

    def last_entry(self, outcome: str, why: str = "") -> Entry:
        """Returns the entry of an end now; without a `why` it keeps the reason that was given for the operation."""
        return replace(
            self.entry,
            when=self.context.clock.now(),
            event="ended",
            outcome=outcome,
            why=why.partition("\n")[0] or self.entry.why,
            seconds=since(self.context.clock, self.begun),
        )

    def ended_as(self, outcome: str) -> Outcome:
        """Returns how it ends now."""
        entry, seconds = self.entry, since(self.context.clock, self.begun)
        return Outcome(entry.service, entry.release, entry.previous, outcome, seconds)

    def conclude(self, outcome: str, why: str = "") -> None:
        """Writes how it ended into every ledger that can be reached; a ledger that can't changes no outcome."""
        last = self.last_entry(outcome, why)
        self.ended(last)
        for held in self.held.values():
            try:
                held.record(last)
            except ShipError as error:
                self.tell(Message(held.name, f"the ledger lacks the end of this: {error.message}"))

    def _ending(self, failure: PhaseFailedError, aim: Aim) -> ShipError:
        lost = next((error for error in failure.errors if isinstance(error, LockedError)), None)
        if lost is not None:
            return lost  # the hosts are another's now, nothing of theirs is ours to take back
        if (other := aim.end_without_way_back(failure)) is not None:
            return other
        why = reason_of(failure)
        if reason := self._take_back(aim):
            head, _, details = why.partition("\n")
            self.conclude("stuck", f"{head}; {reason}")
            reason = f"{reason}\n{details}" if details else reason
            return aim.stuck(head, reason, self.ended_as("stuck"))
        self.conclude("reverted", why)
        return aim.taken_back(why, self.ended_as("reverted"))

    def _take_back(self, aim: Aim) -> str:
        """Takes back every host that answers; returns what kept any from it, each host with its state, "" if none."""
        now = self.look()
        self.known.saw(now)
        pairs = [(was, is_) for was, is_ in zip(self.before, now, strict=True) if not is_.problem]
        reasons: list[str] = []
        failed: Mapping[str, BaseException] = {}
        try:
            back = aim.way_back(
                FleetState(tuple(was for was, _ in pairs)),
                FleetState(tuple(is_ for _, is_ in pairs)),
            )
            self.execute(back, reverting=True)
        except PhaseFailedError as failure:
            failed = failure.by_host
            reasons += ["interrupted"] if len(failure.errors) > len(failed) else []
        except ShipError as error:
            reasons.append(error.message)
        for host in now:
            if host.problem:
                why = host.problem.removeprefix(f"{host.host}: ")
                reasons.append(
                    f"{host.host} can't be looked at ({why}), {self.known.of(host.host)}"
                )
            elif (why_not := failed.get(host.host)) is not None:
                said = _head(why_not).removeprefix(f"{host.host}: ")
                reasons.append(f"{host.host} failed ({said}), {self.known.of(host.host)}")
        return "; ".join(reasons)


def reason_of(error: BaseException) -> str:
    """Says why something failed; of a phase, why each of its hosts did, and of the first with all details."""
    match error:
        case PhaseFailedError(errors=(first, *others)):
            _, newline, details = reason_of(first).partition("\n")
            heads = dict.fromkeys(_head(each) for each in (first, *others))
            return "; ".join(heads) + newline + details
        case KeyboardInterrupt():
            return "interrupted"
        case ShipError(message=message):
            return message
        case _:
            return f"{type(error).__name__} {error}".strip()


def _head(error: BaseException) -> str:
    return reason_of(error).partition("\n")[0]
