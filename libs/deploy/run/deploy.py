"""Rolls a release out over all hosts, or takes all of them back; never prints, never chooses an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from deploy.core.config import Environment, Service
from deploy.core.ledger import Entry
from deploy.core.observed import Observed, last_verified, next_sequence, next_turn
from deploy.core.ports import Clock, Host, ImageRegistry, Probe
from deploy.core.preflight import unfit
from deploy.core.releases import Origin, Release, config_hash, make_release
from deploy.core.rollout import Plan, Wanted, adopt, plan_clear, plan_deploy
from deploy.core.steps import Part, Step
from deploy.errors import PreflightError, ShipError, StuckError
from deploy.run.events import Listener, PlanMade
from deploy.run.executor import PhaseFailedError, execute
from deploy.run.guard import HeldHost
from deploy.run.locking import locked
from deploy.run.observe import observe
from deploy.run.perform import Outside, append_entry, perform


@dataclass(frozen=True)
class Request:
    """What is asked for: this image of this service, with `replica` (replica.yml's text) and `parts`."""

    service: Service
    image: str
    replica: str
    parts: tuple[Part, ...]
    origin: Origin
    verb: str = "deploy"
    pipeline: str = ""


@dataclass(frozen=True)
class World:
    """Everything outside that a deploy touches."""

    environment: Environment
    hosts: tuple[Host, ...]
    registry: ImageRegistry
    probe: Probe
    clock: Clock


@dataclass(frozen=True)
class Outcome:
    """How it ended: `outcome` is live or unchanged; a failure is an exception."""

    service: str
    release: str
    previous: str
    outcome: str
    seconds: float


class RevertedError(ShipError):
    """The deploy failed and every host was taken back; `release` is what was tried, `previous` what is live."""

    def __init__(self, message: str, *, release: str, previous: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.release = release
        self.previous = previous


def plan(request: Request, world: World) -> Plan:
    """Returns what a deploy would do now; changes nothing."""
    seen = observe(world.hosts)
    return plan_deploy(_wanted(request, world, seen), seen)


def deploy(request: Request, world: World, tell: Listener) -> Outcome:
    """Brings every host to the release, or every host back.

    Raises RevertedError when it failed and was taken back, StuckError when that failed too, LockedError and
    PreflightError before anything was changed.
    """
    begun = world.clock.monotonic()
    who = request.origin.who
    with locked(
        world.hosts, who=who, verb=request.verb, pipeline=request.pipeline, clock=world.clock
    ) as held:
        seen = observe(world.hosts)
        wanted = _wanted(request, world, seen)
        plan_ = plan_deploy(wanted, seen)
        if not plan_.phases:
            return Outcome(request.service.name, wanted.release.id, "", "unchanged", _since(world, begun))
        if problems := [problem for each in seen for problem in unfit(each)]:
            raise PreflightError("; ".join(problems), hint="nothing was changed; mend it and run this again")
        attempt = _Attempt(request, world, held, tell, begun)
        return attempt.run(wanted, plan_, seen)


def _since(world: World, begun: float) -> float:
    return round(world.clock.monotonic() - begun, 3)


def _wanted(request: Request, world: World, seen: tuple[Observed, ...]) -> Wanted:
    hashed = config_hash(request.service, request.replica)
    release = adopt(request.service, request.image, hashed, seen) or make_release(
        request.service,
        request.image,
        next_sequence(seen),
        request.replica,
        request.origin,
        subnet=world.environment.edge.subnet,
    )
    return Wanted(request.service, release, request.parts, world.environment.keep_releases)


@dataclass(frozen=True)
class _Attempt:
    """One deploy under the lock."""

    request: Request
    world: World
    held: Mapping[str, HeldHost]
    tell: Listener
    begun: float

    def run(self, wanted: Wanted, plan_: Plan, seen: tuple[Observed, ...]) -> Outcome:
        turn, release = next_turn(seen), wanted.release
        entry = self._entry(turn, release, plan_.previous)
        for held in self.held.values():
            append_entry(held, entry)
        self.tell(PlanMade(plan_))
        try:
            self._execute(plan_, turn, release)
        except PhaseFailedError as failure:
            self._fail(failure, turn, wanted, plan_.previous)
        return Outcome(release.service, release.id, plan_.previous, "live", _since(self.world, self.begun))

    def _execute(self, plan_: Plan, turn: int, release: Release) -> None:
        def live() -> Entry:
            return self._ended(self._entry(turn, release, plan_.previous), "live")

        world = self.world
        outside = Outside(world.environment, world.registry, world.probe, world.clock, live)

        def do(step: Step) -> None:
            perform(step, self.held[step.host], outside)

        execute(plan_, do, world.clock, self.tell)

    def _fail(self, failure: PhaseFailedError, turn: int, wanted: Wanted, previous: str) -> None:
        error, release = failure.errors[0], wanted.release
        why = error.message if isinstance(error, ShipError) else f"{type(error).__name__} {error}".strip()
        again = f"./ship deploy {release.service}"
        if not failure.phase.reversible:
            raise StuckError(
                f"{release.id} is live everywhere, but {failure.phase.name} did not end: {why}",
                hint=f"{again} does what is left",
            ) from error
        try:
            target = self._revert(wanted, turn)
        except Exception as second:
            raise StuckError(
                f"the deploy failed ({why}) and could not be taken back: {second}",
                hint=f"./ship status {release.service} shows each host; when it is back, {again} brings all to one release",
            ) from error
        entry = self._ended(self._entry(turn, release, previous), "reverted")
        for held in self.held.values():
            append_entry(held, replace(entry, why=why.splitlines()[0]))
        state = f"{target} serves as before" if target else "nothing is live, the edge answers 503"
        if isinstance(error, KeyboardInterrupt):
            why = "interrupted"
        raise RevertedError(
            f"{release.id} was taken back, {state}: {why}",
            release=release.id,
            previous=target,
            hint=f"{again} tries again",
        ) from error

    def _revert(self, wanted: Wanted, turn: int) -> str:
        """Brings every host to the last verified release, from a fresh look. Returns its id, "" for none."""
        seen = observe(self.world.hosts)
        name = wanted.service.name
        target = next((r for host in seen if (r := host.release(name, last_verified(seen, name)))), None)
        if target is None:
            plan_ = plan_clear(name, seen)
        else:
            plan_ = plan_deploy(replace(wanted, release=target), seen)
        self.tell(PlanMade(plan_, reverting=True))
        self._execute(plan_, turn, target or wanted.release)
        return target.id if target else ""

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
        return replace(entry, event="ended", outcome=outcome, seconds=_since(self.world, self.begun))

