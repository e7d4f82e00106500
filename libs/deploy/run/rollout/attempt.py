"""One deploy under the lock: an operation with a chronicle, whose failure takes every host back to one release."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from deploy.core.commands import files
from deploy.core.planning.plan import (
    DesiredState,
    Holder,
    Plan,
)
from deploy.core.planning.requests import (
    Command,
    PromoteCommand,
    again,
)
from deploy.core.planning.revert import plan_revert, release_before
from deploy.core.planning.rollout import plan_hold
from deploy.core.reports.rollout_log import dump_rollout_log, parse_rollout_log
from deploy.core.state.fleet import FleetState
from deploy.core.state.ledger import Entry
from deploy.core.state.release import Release
from deploy.errors import ReleaseRefusedError, ShipError
from deploy.run.hosts.fanout import MOST_HOSTS
from deploy.run.hosts.locked_host import LockedHost
from deploy.run.rollout.context import (
    DeployContext,
    Outcome,
    RevertedError,
    StuckError,
)
from deploy.run.rollout.events import Listener
from deploy.run.rollout.executor import PhaseFailedError
from deploy.run.rollout.operation import (
    Operation,
    Seen,
    reason_of,
)
from deploy.run.rollout.recording import RolloutRecorder


@dataclass(frozen=True)
class Attempt:
    """One deploy under the lock, from how the hosts were `before` it; it ends as `outcome` unless it fails."""

    request: Command
    context: DeployContext
    held: Mapping[str, LockedHost]
    tell: Listener
    begun: float
    desired: DesiredState
    before: FleetState
    outcome: str = "live"

    def run(self, plan: Plan) -> Outcome:
        """Carries it out, or takes every host back, and keeps its chronicle however it ends."""
        clock, release = self.context.clock, self.desired.release
        recorder = RolloutRecorder(clock, self.tell, self.begun, clock.now())
        entry = entry_of(self.request, release, self.before.next_turn(), clock.now())
        operation = Operation(
            self.context,
            self.request.service,
            self.held,
            replace(entry, previous=plan.previous),
            self.before,
            self.begun,
            recorder.tell,
            recorder.end,
        )
        try:
            operation.run(plan, _Aim(operation, self.request, self.desired))
            if self.outcome == "live":
                recorder.end(operation.last_entry("live"))  # each ledger has it: RecordLive
            else:
                operation.conclude(self.outcome)
        finally:
            self._keep(recorder)
        return operation.ended_as(self.outcome)

    def _keep(self, recorder: RolloutRecorder) -> None:
        """A chronicle that can't be kept or published changes no outcome."""
        if (last := recorder.ended) is None:
            return
        told = recorder.chronicle(last, self.context.environment.name)
        text = self.context.vault.redact(dump_rollout_log(told))  # hosts' own words are in it
        chronicle = parse_rollout_log(text)
        argv = files.keep_rollout_log(chronicle.service, chronicle.turn)

        def keep(held: LockedHost) -> None:
            with suppress(ShipError):
                held.under(last).run_checked(argv, "keeping the chronicle", stdin=text.encode())

        with ThreadPoolExecutor(max_workers=MOST_HOSTS) as pool:
            for _ in pool.map(keep, self.held.values()):
                pass
        self.context.publish(chronicle)


@dataclass(frozen=True)
class _Aim:
    """A release on every host, or the one before it."""

    operation: Operation
    request: Command
    desired: DesiredState

    def end_without_way_back(self, failure: PhaseFailedError) -> ShipError | None:
        """A gate may want a person's look first; what failed after the last way back is done by the next deploy."""
        if isinstance(refused := failure.errors[0], ReleaseRefusedError) and refused.holds:
            return self._held(refused)
        if failure.phase.reversible:
            return None
        return StuckError(
            f"{self.desired.release.id} is live everywhere, but {failure.phase.name} did not end: {reason_of(failure)}",
            end=self.operation.ended_as("stuck"),
            hint=f"{self._again} does what is left",
        )

    def way_back(self, before: Seen, now: Seen) -> Plan:
        """To the release that all hosts were at, from the records of all, also of those that don't answer."""
        target = self._target
        found = (host.release(self.desired.service.name, target) for host in self.operation.before)
        record = next((each for each in found if each), None)
        if target and record is None:
            raise ShipError(f"no host holds the record of {target}, which is to be live again")
        return plan_revert(self.desired, record, before, now)

    def taken_back(self, why: str, end: Outcome) -> RevertedError:
        """Says what serves now."""
        request, release, target = self.request, self.desired.release, self._target
        state = f"{target} serves as before" if target else "nothing is live, the edge answers 503"
        was = "could not be mended" if target == release.id else "was taken back"
        once_more = self._again
        if isinstance(request, PromoteCommand):  # the candidate is gone with its hold
            once_more = f"./ship deploy {release.service} --image {release.image}"
        return RevertedError(
            f"{release.id} {was}, {state}: {why}",
            end=replace(end, previous=target),
            hint=f"{once_more} tries again",
        )

    def stuck(self, why: str, reason: str, end: Outcome) -> StuckError:
        """Says what brings all hosts to one release."""
        entry = self.operation.entry
        return StuckError(
            f"the {entry.verb} to {entry.release} failed ({why}) and could not be taken back everywhere: {reason}",
            end=end,
            hint=f"./ship status {entry.service} shows each host; {self._again} then brings all to one release",
        )

    def _held(self, refused: ReleaseRefusedError) -> ShipError:
        """Leaves the candidate where no user meets it, for a person to promote or abort."""
        operation, entry = self.operation, self.operation.entry
        name, release = entry.service, entry.release
        who = Holder(entry.who, operation.context.clock.now(), entry.pipeline)
        desired = replace(self.desired, judged=False, canary=0)
        try:
            operation.execute(plan_hold(desired, operation.look(), who))
        except (ShipError, PhaseFailedError) as second:
            reason = reason_of(second)
            operation.conclude("stuck", f"{refused.message}; {reason}")
            return StuckError(
                f"{refused.message}, and it could not be held: {reason}",
                end=operation.ended_as("stuck"),
                hint=f"./ship status {name} shows each host; {self._again} tries again",
            )
        operation.conclude("held", refused.message)
        return StuckError(
            f"{release} is held, no user meets it: {refused.message}",
            end=operation.ended_as("held"),
            hint=f"./ship promote {name} --release {release}, or ./ship abort {name} --release {release}",
        )

    @property
    def _target(self) -> str:
        return release_before(self.desired.service.name, self.operation.before)

    @property
    def _again(self) -> str:
        return again(self.request, self.desired.release.id)


def entry_of(request: Command, release: Release, turn: int, now: str) -> Entry:
    """Makes the entry of a deploy's begin."""
    return Entry(
        turn=turn,
        when=now,
        who=request.origin.who,
        verb=request.verb,
        service=release.service,
        release=release.id,
        sequence=release.sequence,
        event="begun",
        revision=release.revision,
        image=release.image,
        why=request.origin.why,
        pipeline=request.pipeline,
    )
