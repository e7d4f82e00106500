"""One attempt at a rollout: an operation that keeps a log. If it fails, every host is reverted to one release."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from deploy.core.commands import files
from deploy.core.planning.plan import DesiredState, Holder, Plan, Strategy
from deploy.core.planning.requests import Command, PromoteCommand, retry_command
from deploy.core.planning.revert import plan_revert, release_before
from deploy.core.planning.rollout import plan_hold
from deploy.core.reports.rollout_log import dump_rollout_log, parse_rollout_log
from deploy.core.state.fleet import FleetState
from deploy.core.state.ledger import Entry, EntryEvent, Outcome
from deploy.core.state.release import Release
from deploy.errors import ReleaseRefusedError, ShipError, TaskError, UnhealthyError, VerifyError
from deploy.run.hosts.fanout import side_by_side
from deploy.run.hosts.locked_host import LockedHost
from deploy.run.rollout.context import DeployContext, Result, RevertedError, StuckError
from deploy.run.rollout.events import Listener
from deploy.run.rollout.executor import PhaseFailedError
from deploy.run.rollout.operation import Operation, reason_of
from deploy.run.rollout.recording import RolloutRecorder


@dataclass(frozen=True)
class Attempt:
    """An attempt to bring locked hosts from how they were `before` to the desired state.

    `begun` is on the monotonic clock. If nothing fails it ends with `outcome`.
    """

    command: Command
    context: DeployContext
    hosts: Mapping[str, LockedHost]
    emit: Listener
    begun: float
    desired: DesiredState
    before: FleetState
    outcome: Outcome = Outcome.LIVE

    def run(self, plan: Plan) -> Result:
        """Executes the plan, or reverts every host if it fails; keeps the rollout log either way."""
        clock, release = self.context.clock, self.desired.release
        recorder = RolloutRecorder(clock, self.emit, self.begun, clock.now())
        entry = entry_of(self.command, release, self.before.next_turn(), clock.now())
        operation = Operation(
            self.context,
            self.command.service,
            self.hosts,
            replace(entry, previous=plan.previous or ""),
            self.before,
            self.begun,
            recorder.on_event,
            recorder.on_end,
        )
        try:
            operation.run(plan, _RolloutRecovery(operation, self.command, self.desired))
            if self.outcome is Outcome.LIVE:
                # The ledgers have this entry already: RecordLive wrote it.
                recorder.on_end(operation.last_entry(Outcome.LIVE))
            else:
                operation.record_end(self.outcome)
        finally:
            self._keep_log(recorder)
        return operation.result(self.outcome)

    def _keep_log(self, recorder: RolloutRecorder) -> None:
        """Writes the log on every host and publishes it. A host that can't keep it doesn't change the outcome."""
        if (last := recorder.last) is None:
            return
        name, release = self.command.service.name, self.desired.release
        # A scaled release has no other one before it, but its own record of then.
        old = self.before.release(name, last.previous or release.id)
        log = recorder.log(last, self.context.environment.name).comparing(old, release)
        document = dump_rollout_log(log)
        text = self.context.secrets.redact(document)  # it quotes what hosts printed
        log = parse_rollout_log(text)
        argv = files.keep_rollout_log(log.service, log.turn)

        def keep(host: LockedHost) -> None:
            with suppress(ShipError):
                locked = host.for_operation(last)
                locked.run_checked(argv, "writing the rollout log", stdin=text.encode())

        side_by_side(self.hosts.values(), keep)
        self.context.publish(log)


@dataclass(frozen=True)
class _RolloutRecovery:
    """Reverts every host to the release before the attempt."""

    operation: Operation
    command: Command
    desired: DesiredState

    def without_revert(self, failure: PhaseFailedError) -> ShipError | None:
        """Nothing is reverted if the gate holds the candidate, or if the release is live and recorded already."""
        if isinstance(refused := failure.errors[0], ReleaseRefusedError) and refused.holds:
            return self._hold(refused)
        if failure.phase.reversible:
            return None
        return StuckError(
            f"{self.desired.release.id} is live everywhere, but {failure.phase.name} failed: {reason_of(failure)}",
            result=self.operation.result(Outcome.STUCK),
            hint=f"{self._retry} does what is left",
        )

    def plan_revert(self, before: FleetState, now: FleetState) -> Plan:
        """Plans the revert. Any host's record of the release counts, also that of a host that can't be reached."""
        target = self._target
        record = self.operation.before.release(self.desired.service.name, target)
        if target and record is None:
            raise ShipError(f"no host has the record of {target}, the release to revert to")
        return plan_revert(self.desired, record, before, now)

    def reverted_error(self, cause: BaseException, why: str, result: Result) -> RevertedError:
        """Says which release serves now, and what helps: another attempt, or a change of the service first."""
        release, target = self.desired.release, self._target
        if target == release.id:
            state = f"{release.id} could not be repaired and serves as before"
        elif target:
            state = f"rolled back to {target}"
        else:
            state = f"{release.id} was removed, nothing is live and the edge answers 503"
        retry = self._retry
        if isinstance(self.command, PromoteCommand):  # the candidate is gone with its hold
            retry = f"./ship deploy {release.service} --image {release.image}"
        logs = f"; ./ship logs {release.service} --release {release.id} has its logs"
        if target == release.id:  # its replicas stay
            logs = ""
        match cause:
            case UnhealthyError() | ReleaseRefusedError():
                hint = f"fix the error above, then ./ship deploy {release.service}{logs}"
            case TaskError():
                hint = f"fix the error above, then ./ship deploy {release.service}"
            case VerifyError(hint=""):
                hint = f"{retry} tries again{logs}"
            case ShipError(hint=first) if first:
                hint = f"{first}; {retry} tries again"
            case _:
                hint = f"{retry} tries again"
        return RevertedError(f"{state}: {why}", result=replace(result, previous=target), hint=hint)

    def stuck_error(self, why: str, reason: str, result: Result) -> StuckError:
        """Says how to bring all hosts to one release."""
        entry = self.operation.entry
        return StuckError(
            f"the {entry.verb} to {entry.release} failed ({why}) and could not be reverted everywhere: {reason}",
            result=result,
            hint=f"./ship status {entry.service} shows each host; {self._retry} then brings all to one release",
        )

    def _hold(self, refused: ReleaseRefusedError) -> ShipError:
        """Keeps the candidate where no user reaches it, until a person promotes or aborts it."""
        operation, entry = self.operation, self.operation.entry
        name, release = entry.service, entry.release
        who = Holder(entry.who, operation.context.clock.now(), entry.pipeline)
        # Analysing it again would refuse it again.
        desired = replace(self.desired, strategy=Strategy.ROLLBACK, canary=0)
        try:
            operation.execute(plan_hold(desired, operation.observe(), who))
        except (ShipError, PhaseFailedError) as second:
            reason = reason_of(second)
            operation.record_end(Outcome.STUCK, f"{refused.message}; {reason}")
            return StuckError(
                f"{refused.message}, and the candidate could not be held: {reason}",
                result=operation.result(Outcome.STUCK),
                hint=f"./ship status {name} shows each host; {self._retry} tries again",
            )
        operation.record_end(Outcome.HELD, refused.message)
        return StuckError(
            f"{release} is held and no user reaches it: {refused.message}",
            result=operation.result(Outcome.HELD),
            hint=f"./ship promote {name} --release {release}, or ./ship abort {name} --release {release}",
        )

    @property
    def _target(self) -> str | None:
        return release_before(self.desired.service.name, self.operation.before)

    @property
    def _retry(self) -> str:
        return retry_command(self.command, self.desired.release.id)


def entry_of(command: Command, release: Release, turn: int, now: str) -> Entry:
    """Returns the ledger entry for the beginning of an operation; `now` is UTC in ISO 8601."""
    return Entry(
        turn=turn,
        when=now,
        who=command.origin.who,
        verb=command.verb,
        service=release.service,
        release=release.id,
        sequence=release.sequence,
        event=EntryEvent.BEGUN,
        revision=release.revision,
        image=release.image,
        why=command.origin.why,
        pipeline=command.pipeline,
    )
