"""Rolls a release out over all hosts, or takes all of them back; never prints, never chooses an adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from deploy.core.config import Environment, Service
from deploy.core.ledger import Entry
from deploy.core.observed import (
    Observed,
    known_releases,
    last_operation,
    next_sequence,
    next_turn,
    previous_release,
    release_named,
)
from deploy.core.plans import Plan, Wanted
from deploy.core.ports import Clock, Host, ImageRegistry, Judge, Probe
from deploy.core.preflight import unfit
from deploy.core.releases import Origin, Release, config_hash, make_release
from deploy.core.rollout import adopt, half_done, plan_deploy
from deploy.core.steps import Part, Step
from deploy.core.way_back import plan_back, release_before
from deploy.errors import (
    HostUnreachableError,
    LockedError,
    PreflightError,
    ShipError,
    StuckError,
    UsageError,
)
from deploy.run.events import Listener, PlanMade, Said
from deploy.run.executor import PhaseFailedError, execute
from deploy.run.guard import HeldHost
from deploy.run.locking import locked
from deploy.run.observe import observe, observe_what_answers
from deploy.run.perform import Outside, perform
from deploy.run.watching import EdgeJudge


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
class Rollback:
    """What is asked for on the way back: the release `to`, or "" for the one that was verified before this."""

    service: Service
    origin: Origin
    to: str = ""
    verb: str = "rollback"
    pipeline: str = ""


@dataclass(frozen=True)
class World:
    """Everything outside that a deploy touches."""

    environment: Environment
    hosts: tuple[Host, ...]
    registry: ImageRegistry
    probe: Probe
    clock: Clock
    judge: Judge = field(default_factory=EdgeJudge)


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
    return _roll(request, world, tell, lambda seen: _wanted(request, world, seen))


def rollback(request: Rollback, world: World, tell: Listener) -> Outcome:
    """Brings every host to an older release, with the image, env, compose and route of its record.

    Needs no registry while the image is on the hosts, and leaves the edge and Prometheus as they are. Raises what
    `deploy` raises, and UsageError where there is no such release.
    """
    return _roll(request, world, tell, lambda seen: _wanted_back(request, world, seen))


def _roll(
    request: Request | Rollback,
    world: World,
    tell: Listener,
    want: Callable[[tuple[Observed, ...]], Wanted],
) -> Outcome:
    begun = world.clock.monotonic()
    who = request.origin.who
    with locked(
        world.hosts, who=who, verb=request.verb, pipeline=request.pipeline, clock=world.clock
    ) as held:
        seen = observe(world.hosts)
        wanted = want(seen)
        plan_ = plan_deploy(wanted, seen)
        if not plan_.phases:
            return Outcome(
                request.service.name, wanted.release.id, "", "unchanged", _since(world, begun)
            )
        if problems := [problem for each in seen for problem in unfit(each)]:
            raise PreflightError(
                "; ".join(problems), hint="nothing was changed; mend it and run this again"
            )
        return _Attempt(request, world, held, tell, begun, wanted, seen).run(plan_)


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


def _wanted_back(request: Rollback, world: World, seen: tuple[Observed, ...]) -> Wanted:
    name, keep = request.service.name, world.environment.keep_releases
    last = last_operation(name, seen)
    if not request.to and last and last.verb == request.verb and last.outcome in ("", "live"):
        # "The one before" means another release once the first has switched: a rerun ends what a kill left.
        begun = release_named(name, last.release, seen)
        if begun and half_done(
            wanted := Wanted(request.service, begun, (), keep, judged=False), seen
        ):
            return wanted
    found = release_named(name, request.to, seen) if request.to else previous_release(name, seen)
    if found is None:
        known = ", ".join(known_releases(name, seen)) or "none"
        raise UsageError(
            f"{name} has no {f'release {request.to}' if request.to else 'earlier release'} to go back to; "
            f"nothing was changed",
            hint=f"releases on the hosts: {known}; ./ship history {name} tells of all",
        )
    return Wanted(request.service, found, (), keep, judged=False)


@dataclass(frozen=True)
class _Attempt:
    """One deploy under the lock, from how the hosts were `before` it."""

    request: Request | Rollback
    world: World
    held: Mapping[str, HeldHost]
    tell: Listener
    begun: float
    wanted: Wanted
    before: tuple[Observed, ...]

    def run(self, plan_: Plan) -> Outcome:
        turn, release = next_turn(self.before), self.wanted.release
        entry = self._entry(turn, release, plan_.previous)
        for held in self.held.values():
            held.note(entry)
        try:
            self.tell(PlanMade(plan_))
            self._execute(plan_, entry)
        except PhaseFailedError as failure:
            raise self._ending(failure, entry) from failure.errors[0]
        return Outcome(
            release.service, release.id, plan_.previous, "live", _since(self.world, self.begun)
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
            live,
            lambda host, text: self.tell(Said(host, text)),
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
        ended = replace(self._ended(entry, outcome), why=why.splitlines()[0])
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
        seconds = _since(self.world, self.begun)
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
