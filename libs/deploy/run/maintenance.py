"""Closes a service for its users on all hosts, or opens it; a failure takes every host back to how it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from deploy.core.closing import live_somewhere, plan_maintenance, plan_maintenance_back
from deploy.core.config import Service
from deploy.core.ledger import Entry
from deploy.core.observed import Observed, next_turn
from deploy.core.plans import Plan
from deploy.core.ports import Clock
from deploy.core.releases import Origin
from deploy.core.steps import Step
from deploy.errors import LockedError, ShipError, StuckError, UsageError
from deploy.run.events import Listener, PlanMade, Said
from deploy.run.executor import PhaseFailedError, execute
from deploy.run.guard import HeldHost
from deploy.run.locking import locked
from deploy.run.observe import observe, observe_what_answers
from deploy.run.perform import Outside, perform
from deploy.run.world import Outcome, RevertedError, World, since

VERB = "maintenance"


@dataclass(frozen=True)
class Maintenance:
    """What is asked for: the service closed (`on`) or open."""

    service: Service
    on: bool
    origin: Origin
    pipeline: str = ""


def set_maintenance(request: Maintenance, world: World, tell: Listener) -> Outcome:
    """Closes or opens the service on every host; `outcome` is closed, open or unchanged.

    Raises UsageError where it is live nowhere, RevertedError when it failed and every host is as it was, StuckError
    when that failed too, LockedError before anything was changed.
    """
    begun = world.clock.monotonic()
    name = request.service.name
    with locked(
        world.hosts,
        who=request.origin.who,
        verb=VERB,
        pipeline=request.pipeline,
        clock=world.clock,
    ) as held:
        seen = observe(world.hosts)
        if not live_somewhere(name, seen):
            raise UsageError(
                f"{name} is live nowhere, so there is nothing to close",
                hint=f"./ship deploy {name}",
            )
        plan = plan_maintenance(name, seen, on=request.on)
        live = next(found for host in seen if (found := host.edge.live(name)))
        if plan.phases:
            _Change(request, world, held, tell, seen, live).run(plan)
        outcome = "unchanged" if not plan.phases else _called(request.on)
    return Outcome(name, live, "", outcome, since(world.clock, begun))


def _called(on: bool) -> str:
    return "closed" if on else "open"


@dataclass(frozen=True)
class _Change:
    """One change under the lock, from how the hosts were `before` it."""

    request: Maintenance
    world: World
    held: Mapping[str, HeldHost]
    tell: Listener
    before: tuple[Observed, ...]
    live: str

    def run(self, plan: Plan) -> None:
        entry = self._entry(plan)
        self._note(entry)
        try:
            self._execute(plan, entry)
        except PhaseFailedError as failure:
            raise self._ending(failure, entry) from failure.errors[0]
        self._note(self._ended(entry, _called(self.request.on)))

    def _execute(self, plan: Plan, entry: Entry, *, reverting: bool = False) -> None:
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
            lambda: entry,
            lambda host, text: self.tell(Said(host, text)),
        )

        def do(step: Step, clock: Clock) -> None:
            perform(step, self.held[step.host].under(entry), replace(outside, clock=clock))

        self.tell(PlanMade(plan, reverting=reverting))
        execute(plan, do, world.clock, self.tell)

    def _ending(self, failure: PhaseFailedError, entry: Entry) -> ShipError:
        lost = next((error for error in failure.errors if isinstance(error, LockedError)), None)
        if lost is not None:
            return lost
        name, why = entry.service, _reason(failure)
        again = f"./ship maintenance {'on' if self.request.on else 'off'} {name}"
        try:
            self._revert(entry)
        except (ShipError, PhaseFailedError) as second:
            reason = _reason(second) if isinstance(second, PhaseFailedError) else second.message
            self._conclude(entry, "stuck", f"{why}; {reason}")
            return StuckError(
                f"{name} is not {_called(self.request.on)} everywhere ({why}) and not as it was either: {reason}",
                hint=f"./ship status {name} shows each host; {again} does what is left",
            )
        self._conclude(entry, "reverted", why)
        return RevertedError(
            f"{name} is as it was before: {why}",
            release=self.live,
            previous=self.live,
            hint=f"{again} tries again",
        )

    def _revert(self, entry: Entry) -> None:
        """Takes back every host that answers. Raises ShipError for one that doesn't."""
        now = observe_what_answers(self.world.hosts)
        pairs = [(was, new) for was, new in zip(self.before, now, strict=True) if not new.problem]
        back = plan_maintenance_back(
            entry.service, tuple(was for was, _ in pairs), tuple(new for _, new in pairs)
        )
        self._execute(back, entry, reverting=True)
        if silent := [host.host for host in now if host.problem]:
            raise ShipError(f"{', '.join(silent)} can't be looked at")

    def _note(self, entry: Entry) -> None:
        for held in self.held.values():
            held.note(entry)

    def _conclude(self, entry: Entry, outcome: str, why: str) -> None:
        """Writes how it ended where that can be done; a ledger that can't be written changes no outcome."""
        ended = replace(self._ended(entry, outcome), why=why.splitlines()[0])
        for held in self.held.values():
            try:
                held.note(ended)
            except ShipError as error:
                self.tell(Said(held.name, f"the ledger lacks the end of this: {error.message}"))

    def _entry(self, plan: Plan) -> Entry:
        request, release = self.request, plan.release
        return Entry(
            turn=next_turn(self.before),
            when=self.world.clock.now(),
            who=request.origin.who,
            verb=f"{VERB} {'on' if request.on else 'off'}",
            service=request.service.name,
            release=self.live,
            sequence=release.sequence if release else 0,
            event="begun",
            why=request.origin.why,
            pipeline=request.pipeline,
        )

    def _ended(self, entry: Entry, outcome: str) -> Entry:
        return replace(entry, when=self.world.clock.now(), event="ended", outcome=outcome)


def _reason(failure: PhaseFailedError) -> str:
    error = failure.errors[0]
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return error.message if isinstance(error, ShipError) else f"{type(error).__name__} {error}"
