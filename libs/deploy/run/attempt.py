"""One operation under the lock: carries its plan out, or takes every host back; never decides what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from deploy.core import commands
from deploy.core.chronicle import dump_chronicle, parse_chronicle
from deploy.core.ledger import Entry
from deploy.core.observed import Observed, next_turn
from deploy.core.plans import Holder, Plan, Wanted
from deploy.core.ports import Clock
from deploy.core.releases import Release
from deploy.core.rollout import plan_hold
from deploy.core.steps import Step
from deploy.core.way_back import plan_back, release_before
from deploy.errors import GateError, HostUnreachableError, LockedError, ShipError, StuckError
from deploy.run.events import Listener, PlanMade, Said
from deploy.run.executor import PhaseFailedError, execute
from deploy.run.guard import HeldHost
from deploy.run.observe import observe_what_answers
from deploy.run.perform import Outside, perform
from deploy.run.recording import Recorder
from deploy.run.requests import Asked, Rollback
from deploy.run.world import Outcome, RevertedError, World, since


@dataclass(frozen=True)
class Attempt:
    """One deploy under the lock, from how the hosts were `before` it."""

    request: Asked
    world: World
    held: Mapping[str, HeldHost]
    tell: Listener
    begun: float
    wanted: Wanted
    before: tuple[Observed, ...]
    outcome: str = "live"
    recorder: Recorder | None = None

    def run(self, plan_: Plan) -> Outcome:
        """Carries it out, and keeps its chronicle however it ends."""
        recorder = Recorder(self.world.clock, self.tell, self.begun, self.world.clock.now())
        try:
            return replace(self, tell=recorder.tell, recorder=recorder).carry_out(plan_)
        finally:
            self._keep(recorder)

    def _keep(self, recorder: Recorder) -> None:
        """A chronicle that can't be kept or published changes no outcome."""
        if (last := recorder.ended) is None:
            return
        told = recorder.chronicle(last, self.world.environment.name)
        text = self.world.vault.redact(dump_chronicle(told))  # hosts' own words are in it
        chronicle = parse_chronicle(text)
        argv = commands.keep_chronicle(chronicle.service, chronicle.turn)

        def keep(held: HeldHost) -> None:
            with suppress(ShipError):
                held.under(last).must(argv, "keeping the chronicle", stdin=text.encode())

        with ThreadPoolExecutor(max_workers=16) as pool:
            for _ in pool.map(keep, self.held.values()):
                pass
        self.world.publish(chronicle)

    def carry_out(self, plan_: Plan) -> Outcome:
        """Carries it out under the lock, or takes every host back."""
        turn, release = next_turn(self.before), self.wanted.release
        entry = self._entry(turn, release, plan_.previous)
        for held in self.held.values():
            held.note(entry)
        try:
            self.tell(PlanMade(plan_))
            self._execute(plan_, entry)
        except PhaseFailedError as failure:
            raise self._ending(failure, entry) from failure.errors[0]
        if self.outcome != "live":
            self._conclude(entry, self.outcome, self.request.origin.why)
        elif self.recorder is not None:
            self.recorder.ended = self._ended(entry, "live")
        return Outcome(
            release.service,
            release.id,
            plan_.previous,
            self.outcome,
            since(self.world.clock, self.begun),
        )

    def _execute(self, plan_: Plan, entry: Entry) -> None:
        def live() -> Entry:
            return self._ended(entry, "live")

        world = self.world
        outside = Outside(
            world.environment,
            self.request.service,
            world.registry,
            world.probe,
            world.clock,
            world.judge,
            {host.name: host for host in world.hosts},
            world.metrics,
            live,
            lambda host, text: self.tell(Said(host, text)),
            world.vault,
        )

        def do(step: Step, clock: Clock) -> None:
            perform(step, self.held[step.host].under(entry), replace(outside, clock=clock))

        execute(plan_, do, world.clock, self.tell)

    def _ending(self, failure: PhaseFailedError, entry: Entry) -> ShipError:
        """Takes the attempt back if that can be done, and returns what the deploy ends with."""
        lost = next((error for error in failure.errors if isinstance(error, LockedError)), None)
        if lost is not None:
            return (
                lost  # the hosts are another deploy's now, nothing of theirs is ours to take back
            )
        why, again = _reason(failure), self._again(entry)
        if isinstance(refused := failure.errors[0], GateError) and refused.holds:
            return self._held(refused, entry)
        if not failure.phase.reversible:
            return StuckError(
                f"{entry.release} is live everywhere, but {failure.phase.name} did not end: {why}",
                hint=f"{again} does what is left",
            )
        try:
            target = self._revert(entry)
        except (ShipError, PhaseFailedError) as second:
            reason = _reason(second) if isinstance(second, PhaseFailedError) else second.message
            self._conclude(entry, "stuck", f"{why}; {reason}")
            return StuckError(
                f"the {entry.verb} to {entry.release} failed ({why}) and could not be taken back everywhere: {reason}",
                hint=f"./ship status {entry.service} shows each host; {again} then brings all to one release",
            )
        self._conclude(entry, "reverted", why)
        state = f"{target} serves as before" if target else "nothing is live, the edge answers 503"
        was = "could not be mended" if target == entry.release else "was taken back"
        return RevertedError(
            f"{entry.release} {was}, {state}: {why}",
            release=entry.release,
            previous=target,
            hint=f"{again} tries again",
        )

    def _held(self, refused: GateError, entry: Entry) -> ShipError:
        """Leaves the candidate where no user meets it, for a person to promote or abort."""
        name, release = entry.service, entry.release
        who = Holder(entry.who, self.world.clock.now(), entry.pipeline)
        wanted = replace(self.wanted, judged=False, canary=0)
        try:
            self._execute(plan_hold(wanted, self._look(), who), entry)
        except (ShipError, PhaseFailedError) as second:
            reason = _reason(second) if isinstance(second, PhaseFailedError) else second.message
            self._conclude(entry, "stuck", f"{refused.message}; {reason}")
            return StuckError(
                f"{refused.message}, and it could not be held: {reason}",
                hint=f"./ship status {name} shows each host; {self._again(entry)} tries again",
            )
        self._conclude(entry, "held", refused.message)
        return StuckError(
            f"{release} is held, no user meets it: {refused.message}",
            hint=f"./ship promote {name} --release {release}, or ./ship abort {name} --release {release}",
        )

    def _again(self, entry: Entry) -> str:
        command = f"./ship {entry.verb} {entry.service}"
        to = isinstance(self.request, Rollback)
        return f"{command} --to {entry.release}" if to else command

    def _revert(self, entry: Entry) -> str:
        """Takes back every host that answers, from a fresh look. Returns what they serve then, "" for nothing.

        Raises HostUnreachableError, once the others are back, for a host that doesn't answer.
        """
        name, before = entry.service, self.before
        target = release_before(name, before)
        record = next((found for host in before if (found := host.release(name, target))), None)
        if target and record is None:
            raise ShipError(f"no host holds the record of {target}, which is to be live again")
        pairs = [
            (was, now) for was, now in zip(before, self._look(), strict=True) if not now.problem
        ]
        plan_ = plan_back(
            self.wanted, record, tuple(was for was, _ in pairs), tuple(now for _, now in pairs)
        )
        self.tell(PlanMade(plan_, reverting=True))
        self._execute(plan_, entry)
        answered = {now.host for _, now in pairs}
        if silent := [host.host for host in before if host.host not in answered]:
            raise HostUnreachableError(
                f"{', '.join(silent)} can't be looked at and is as the failure left it"
            )
        return target

    def _look(self) -> tuple[Observed, ...]:
        return observe_what_answers(self.world.hosts)

    def _conclude(self, entry: Entry, outcome: str, why: str) -> None:
        """Writes how it ended into every ledger that can be reached; a ledger that can't changes no outcome."""
        ended = replace(self._ended(entry, outcome), why=why.partition("\n")[0])
        if self.recorder is not None:
            self.recorder.ended = ended
        for held in self.held.values():
            try:
                held.note(ended)
            except ShipError as error:
                self.tell(
                    Said(held.name, f"the ledger lacks the end of this deploy: {error.message}")
                )

    def _entry(self, turn: int, release: Release, previous: str) -> Entry:
        request = self.request
        return Entry(
            turn=turn,
            when=self.world.clock.now(),
            who=request.origin.who,
            verb=request.verb,
            service=release.service,
            release=release.id,
            sequence=release.sequence,
            event="begun",
            revision=release.revision,
            image=release.image,
            previous=previous,
            why=request.origin.why,
            pipeline=request.pipeline,
        )

    def _ended(self, entry: Entry, outcome: str) -> Entry:
        seconds = since(self.world.clock, self.begun)
        return replace(
            entry, when=self.world.clock.now(), event="ended", outcome=outcome, seconds=seconds
        )


def _reason(failure: PhaseFailedError) -> str:
    error = failure.errors[0]
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return (
        error.message if isinstance(error, ShipError) else f"{type(error).__name__} {error}".strip()
    )


def ended_entry(request: Asked, release: Release, turn: int, now: str) -> Entry:
    """Makes the record of a release that was confirmed: nothing was done to it."""
    return Entry(
        turn=turn,
        when=now,
        who=request.origin.who,
        verb="confirm",
        service=release.service,
        release=release.id,
        sequence=release.sequence,
        event="ended",
        outcome="confirmed",
        revision=release.revision,
        image=release.image,
        why=request.origin.why,
        pipeline=request.pipeline,
    )
