"""Turns a service's maintenance page on or off on all hosts; a failure reverts every host."""

from __future__ import annotations

from dataclasses import dataclass, replace

from deploy.core.config import Service
from deploy.core.planning.maintenance import plan_maintenance, plan_maintenance_revert
from deploy.core.planning.plan import Plan
from deploy.core.state.fleet import FleetState
from deploy.core.state.ledger import Entry, EntryEvent, Outcome
from deploy.core.state.release import Origin
from deploy.errors import ShipError, UsageError
from deploy.run.hosts.locking import lock_hosts
from deploy.run.hosts.observe import observe
from deploy.run.rollout.context import DeployContext, Result, RevertedError, StuckError, since
from deploy.run.rollout.events import Listener, Message
from deploy.run.rollout.executor import PhaseFailedError
from deploy.run.rollout.operation import Operation

VERB = "maintenance"


@dataclass(frozen=True)
class Maintenance:
    """Close the service for its users (`on`), or open it."""

    service: Service
    on: bool
    origin: Origin
    pipeline: str = ""

    @property
    def verb(self) -> str:
        """The verb that ledgers record: `maintenance on` or `maintenance off`."""
        return f"{VERB} {'on' if self.on else 'off'}"

    @property
    def outcome(self) -> Outcome:
        """How it ends if nothing fails."""
        return Outcome.CLOSED if self.on else Outcome.OPEN


def set_maintenance(
    command: Maintenance, context: DeployContext, emit: Listener, *, wait: bool = False
) -> Result:
    """Closes or opens the service on every host; the outcome is closed, open or unchanged. `wait` queues for the lock.

    Raises UsageError if the service is live nowhere, RevertedError if it failed and every host is as it was before,
    StuckError if that failed as well, LockedError before anything was changed.
    """
    begun = context.clock.monotonic()
    name = command.service.name
    with lock_hosts(
        context.hosts,
        who=command.origin.who,
        verb=VERB,
        pipeline=command.pipeline,
        clock=context.clock,
        say=lambda text: emit(Message(None, text)),
        wait=wait,
        longest_s=command.service.tasks.longest_s,
    ) as hosts:
        fleet = observe(context.hosts)
        live = next((found for host in fleet if (found := host.edge.live(name))), None)
        if live is None:
            raise UsageError(
                f"{name} is live nowhere, so there is nothing to close or open",
                hint=f"./ship deploy {name}",
            )
        plan = plan_maintenance(name, fleet, on=command.on)
        outcome = Outcome.UNCHANGED
        if plan.phases:
            outcome = command.outcome
            entry = _entry(command, plan, live, fleet.next_turn(), context.clock.now())
            operation = Operation(context, command.service, hosts, entry, fleet, begun, emit)
            operation.run(plan, _MaintenanceRecovery(command, live))
            operation.record_end(outcome)
    return Result(name, live, None, outcome, since(context.clock, begun))


@dataclass(frozen=True)
class _MaintenanceRecovery:
    """Closes or opens the service on every host as it was before."""

    command: Maintenance
    live: str

    def without_revert(self, failure: PhaseFailedError) -> ShipError | None:
        """Every failure is reverted."""
        del failure
        return None

    def plan_revert(self, before: FleetState, now: FleetState) -> Plan:
        """Plans for each host what opens or closes it as it was."""
        return plan_maintenance_revert(self.command.service.name, before, now)

    def reverted_error(self, cause: BaseException, why: str, result: Result) -> RevertedError:
        """Says that nothing has changed."""
        return RevertedError(
            f"{self.command.service.name} is as it was before: {why}",
            result=replace(result, previous=self.live),
            hint=f"{self._retry} tries again",
        )

    def stuck_error(self, why: str, reason: str, result: Result) -> StuckError:
        """Says how to bring all hosts to the same state."""
        name = self.command.service.name
        return StuckError(
            f"{name} is not {self.command.outcome} on every host ({why}), and the revert failed: {reason}",
            result=result,
            hint=f"./ship status {name} shows each host; {self._retry} does what is left",
        )

    @property
    def _retry(self) -> str:
        return f"./ship {self.command.verb} {self.command.service.name}"


def _entry(command: Maintenance, plan: Plan, live: str, turn: int, now: str) -> Entry:
    return Entry(
        turn=turn,
        when=now,
        who=command.origin.who,
        verb=command.verb,
        service=command.service.name,
        release=live,
        sequence=plan.release.sequence if plan.release else 0,
        event=EntryEvent.BEGUN,
        why=command.origin.why,
        pipeline=command.pipeline,
    )
