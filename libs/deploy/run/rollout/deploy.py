"""Rolls a release out over all hosts, or takes all of them back; never prints, never chooses an adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from deploy.core.planning.plan import (
    Holder,
    Plan,
    Wanted,
)
from deploy.core.planning.requests import (
    Abort,
    Asked,
    Forward,
    Promotion,
    Request,
    Rollback,
    Scale,
    held_release,
    wanted_by,
)
from deploy.core.planning.revert import plan_back, release_before
from deploy.core.planning.rollout import plan_deploy, plan_hold
from deploy.core.planning.steps import WriteSecrets
from deploy.core.state.observed import (
    Observed,
    newest_verified,
    next_turn,
    release_named,
)
from deploy.core.state.release import is_made_of
from deploy.core.state.secrets import Pinned
from deploy.errors import LockedError
from deploy.run.hosts.locked_host import HeldHost
from deploy.run.hosts.locking import locked
from deploy.run.hosts.observe import observe
from deploy.run.rollout.attempt import Attempt, entry_of
from deploy.run.rollout.context import (
    Outcome,
    RevertedError,
    RolloutError,
    StuckError,
    World,
    since,
)
from deploy.run.rollout.events import Listener, Said
from deploy.run.rollout.preflight import preflight

__all__ = [
    "Abort",
    "Outcome",
    "Promotion",
    "Request",
    "RevertedError",
    "Rollback",
    "RolloutError",
    "Scale",
    "StuckError",
    "World",
    "abort",
    "confirm",
    "deploy",
    "plan",
    "promote",
    "rollback",
    "scale",
]


def plan(asked: Forward, world: World) -> Plan:
    """Returns what would be done now; changes nothing."""
    seen = observe(world.hosts)
    return _plan(asked, _wanted(asked, world, seen), seen, world)


def deploy(request: Request, world: World, tell: Listener, *, wait: bool = False) -> Outcome:
    """Brings every host to the release, or every host back; with `wait` queues for the lock.

    Raises RevertedError when it failed and was taken back, StuckError when that failed too, LockedError and
    PreflightError before anything was changed.
    """
    return _roll(request, world, tell, wait=wait)


def rollback(request: Rollback, world: World, tell: Listener, *, wait: bool = False) -> Outcome:
    """Brings every host to an older release, with the image, env, compose, route and edge of its record.

    Needs no registry while the images are on the hosts, and leaves what looks on (Prometheus, exporter, watchdog) as
    it is. Raises what `deploy` raises, and UsageError where there is no such release.
    """
    return _roll(request, world, tell, wait=wait)


def confirm(request: Request, world: World, tell: Listener, *, wait: bool = False) -> Outcome:
    """Records what is live as verified; where another image or configuration is, brings back what is asked for.

    That is a rollback to the newest verified release of both whose record a host holds, else a deploy. Another version
    of a secret is no other configuration here: rolling back takes today's values. Raises what `deploy` raises.
    """
    service, name, begun = request.service, request.service.name, world.clock.monotonic()
    seen = observe(world.hosts)
    live = {host.live(name) for host in seen}
    (release, *others) = live
    if release and not others and is_made_of(release, service, request.image, request.replica):
        with _locked(request, world, tell, wait=wait) as held:
            entry = entry_of(request, release, next_turn(seen), world.clock.now())
            # Nothing was done to it.
            entry = replace(entry, verb="confirm", event="ended", outcome="confirmed")
            for host in held.values():
                host.note(entry)
        return Outcome(name, release.id, "", "unchanged", since(world.clock, begun))
    known = newest_verified(seen, service, request.image, request.replica)
    if known is None:
        return _roll(request, world, tell, wait=wait)
    back = Rollback(
        service, request.origin, known.id, request.verb, request.pipeline, request.options
    )
    return _roll(back, world, tell, wait=wait)


def promote(request: Promotion, world: World, tell: Listener, *, wait: bool = False) -> Outcome:
    """Brings the held candidate's rollout to its end. Raises what `deploy` raises, LockedError if it isn't held."""
    return _roll(request, world, tell, wait=wait)


def scale(request: Scale, world: World, tell: Listener, *, wait: bool = False) -> Outcome:
    """Runs more or fewer replicas of the live release on each host. Raises what `deploy` raises."""
    return _roll(request, world, tell, wait=wait)


def abort(request: Abort, world: World, tell: Listener, *, wait: bool = False) -> Outcome:
    """Removes the candidate; what is live goes on. There may be none to remove. Raises LockedError, StuckError."""
    name, release, begun = request.service.name, request.release, world.clock.monotonic()
    with _locked(request, world, tell, wait=wait) as held:
        seen = observe(world.hosts)
        known = release_named(name, release, seen)
        if known is None and not any(host.hold(name) for host in seen):
            return Outcome(name, release, "", "unchanged", since(world.clock, begun))
        if any(host.edge.live(name) == release for host in seen):
            raise LockedError(
                f"{name}: {release} is live, not a candidate; nothing was changed",
                hint=f"./ship rollback {name} goes back to the release before",
            )
        candidate = held_release(request, seen)
        wanted = Wanted(request.service, candidate, (), world.environment.keep_releases)
        live = release_named(name, release_before(name, seen), seen)
        plan_ = plan_back(wanted, live, seen, seen)
        attempt = Attempt(request, world, held, tell, begun, wanted, seen, outcome="aborted")
        return attempt.run(plan_)


@contextmanager
def _locked(
    asked: Asked, world: World, tell: Listener, *, wait: bool = False
) -> Iterator[dict[str, HeldHost]]:
    with locked(
        world.hosts,
        who=asked.origin.who,
        verb=asked.verb,
        pipeline=asked.pipeline,
        clock=world.clock,
        say=lambda text: tell(Said("", text)),
        wait=wait,
        longest_s=asked.service.tasks.longest_s,
        redact=world.vault.redact,
    ) as held:
        yield held


def _wanted(asked: Forward, world: World, seen: tuple[Observed, ...]) -> Wanted:
    secrets: tuple[Pinned, ...] = ()
    if isinstance(asked, Request):
        service = asked.service
        secrets = world.vault.pin(service.name, service.secrets, world.hosts)
        asked = replace(
            asked, origin=replace(asked.origin, why=world.vault.redact(asked.origin.why))
        )
    return wanted_by(asked, world.environment, seen, secrets)


def _plan(asked: Forward, wanted: Wanted, seen: tuple[Observed, ...], world: World) -> Plan:
    if isinstance(asked, Request) and asked.hold:
        who = Holder(asked.origin.who, world.clock.now(), asked.pipeline)
        return plan_hold(wanted, seen, who)
    return plan_deploy(wanted, seen)


def _roll(asked: Forward, world: World, tell: Listener, *, wait: bool = False) -> Outcome:
    begun = world.clock.monotonic()
    with _locked(asked, world, tell, wait=wait) as held:
        seen = observe(world.hosts)
        wanted = _wanted(asked, world, seen)
        plan_ = _plan(asked, wanted, seen, world)
        if not plan_.phases:
            seconds = since(world.clock, begun)
            return Outcome(asked.service.name, wanted.release.id, "", "unchanged", seconds)
        preflight(world, wanted, seen, tell)
        for release in {step.release for step in plan_.steps if isinstance(step, WriteSecrets)}:
            world.vault.require(release)
        ends = "held" if any(phase.name == "hold" for phase in plan_.phases) else "live"
        return Attempt(asked, world, held, tell, begun, wanted, seen, outcome=ends).run(plan_)
