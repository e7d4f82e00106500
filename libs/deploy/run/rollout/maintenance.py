"""Closes a service for its users on all hosts, or opens it; a failure takes every host back to how it was."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploy.core.config import Service
from deploy.core.planning.maintenance import (
    live_somewhere,
    plan_maintenance,
    plan_maintenance_back,
)
from deploy.core.planning.plan import Plan
from deploy.core.state.ledger import Entry
from deploy.core.state.release import Origin
from deploy.errors import ShipError, UsageError
from deploy.run.hosts.locking import locked
from deploy.run.hosts.observe import observe
from deploy.run.rollout.context import (
    DeployContext,
    Outcome,
    RevertedError,
    StuckError,
    since,
)
from deploy.run.rollout.events import Listener, Message
from deploy.run.rollout.executor import PhaseFailedError
from deploy.run.rollout.operation import Operation, Seen

VERB = "maintenance"


@dataclass(frozen=True)
class Maintenance:
    """What is asked for: the service closed (`on`) or open."""

    service: Service
    on: bool
    origin: Origin
    pipeline: str = ""


def set_maintenance(
    request: Maintenance, context: DeployContext, tell: Listener, *, wait: bool = False
) -> Outcome:
    """Closes or opens the service on every host; `outcome` is closed, open or unchanged. `wait` queues for the lock.

    Raises UsageError where it is live nowhere, RevertedError when it failed and every host is as it was, StuckError
    when that failed too, LockedError before anything was changed.
    """
    begun = context.clock.monotonic()
    name = request.service.name
    with locked(
        context.hosts,
        who=request.origin.who,
        verb=VERB,
        pipeline=request.pipeline,
        clock=context.clock,
        say=lambda text: tell(Message("", text)),
        wait=wait,
        longest_s=request.service.tasks.longest_s,
    ) as held:
        seen = observe(context.hosts)
        if not live_somewhere(name, seen):
            raise UsageError(
                f"{name} is live nowhere, so there is nothing to close",
                hint=f"./ship deploy {name}",
            )
        plan = plan_maintenance(name, seen, on=request.on)
        live = next(found for host in seen if (found := host.edge.live(name)))
        outcome = "unchanged"
        if plan.phases:
            outcome = _called(request.on)
            entry = _entry(request, plan, live, seen.next_turn(), context.clock.now())
            operation = Operation(context, request.service, held, entry, seen, begun, tell)
            operation.run(plan, _Aim(request, live))
            operation.conclude(outcome)
    return Outcome(name, live, "", outcome, since(context.clock, begun))


def _called(on: bool) -> str:
    return "closed" if on else "open"


def _verb(on: bool) -> str:
    return f"{VERB} {'on' if on else 'off'}"


@dataclass(frozen=True)
class _Aim:
    """The service closed or open on every host, or everywhere as it was."""

    request: Maintenance
    live: str

    def end_without_way_back(self, failure: PhaseFailedError) -> ShipError | None:
        """There is always a way back."""
        del failure
        return None

    def way_back(self, before: Seen, now: Seen) -> Plan:
        """Opens or closes each host as it was."""
        return plan_maintenance_back(self.request.service.name, before, now)

    def taken_back(self, why: str, end: Outcome) -> RevertedError:
        """Says that nothing is otherwise."""
        return RevertedError(
            f"{self.request.service.name} is as it was before: {why}",
            end=replace(end, previous=self.live),
            hint=f"{self._again} tries again",
        )

    def stuck(self, why: str, reason: str, end: Outcome) -> StuckError:
        """Says what brings all hosts to the same."""
        name = self.request.service.name
        return StuckError(
            f"{name} is not {_called(self.request.on)} everywhere ({why}) and not as it was either: {reason}",
            end=end,
            hint=f"./ship status {name} shows each host; {self._again} does what is left",
        )

    @property
    def _again(self) -> str:
        return f"./ship {_verb(self.request.on)} {self.request.service.name}"


def _entry(request: Maintenance, plan: Plan, live: str, turn: int, now: str) -> Entry:
    return Entry(
        turn=turn,
        when=now,
        who=request.origin.who,
        verb=_verb(request.on),
        service=request.service.name,
        release=live,
        sequence=plan.release.sequence if plan.release else 0,
        event="begun",
        why=request.origin.why,
        pipeline=request.pipeline,
    )
