"""Rolls a release out over all hosts, or takes all of them back; never prints, never chooses an adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from deploy.core.planning.plan import (
    DesiredState,
    Holder,
    Plan,
)
from deploy.core.planning.requests import (
    AbortCommand,
    Command,
    DeployCommand,
    PromoteCommand,
    RollbackCommand,
    RolloutCommand,
    ScaleCommand,
    held_release,
    resolve,
)
from deploy.core.planning.revert import plan_revert, release_before
from deploy.core.planning.rollout import plan_deploy, plan_hold
from deploy.core.planning.steps import WriteSecrets
from deploy.core.state.fleet import FleetState
from deploy.core.state.release import is_made_of
from deploy.core.state.secrets import Pinned
from deploy.errors import LockedError
from deploy.run.hosts.locked_host import LockedHost
from deploy.run.hosts.locking import locked
from deploy.run.hosts.observe import observe
from deploy.run.rollout.attempt import Attempt, entry_of
from deploy.run.rollout.context import (
    DeployContext,
    Outcome,
    RevertedError,
    RolloutError,
    StuckError,
    since,
)
from deploy.run.rollout.events import Listener, Message
from deploy.run.rollout.preflight import preflight

__all__ = [
    "AbortCommand",
    "DeployCommand",
    "DeployContext",
    "Outcome",
    "PromoteCommand",
    "RevertedError",
    "RollbackCommand",
    "RolloutError",
    "ScaleCommand",
    "StuckError",
    "abort",
    "confirm",
    "deploy",
    "plan",
    "promote",
    "rollback",
    "scale",
]


def plan(command: RolloutCommand, context: DeployContext) -> Plan:
    """Returns what would be done now; changes nothing."""
    seen = observe(context.hosts)
    return _plan(command, _wanted(command, context, seen), seen, context)


def deploy(
    request: DeployCommand, context: DeployContext, tell: Listener, *, wait: bool = False
) -> Outcome:
    """Brings every host to the release, or every host back; with `wait` queues for the lock.

    Raises RevertedError when it failed and was taken back, StuckError when that failed too, LockedError and
    PreflightError before anything was changed.
    """
    return _roll(request, context, tell, wait=wait)


def rollback(
    request: RollbackCommand, context: DeployContext, tell: Listener, *, wait: bool = False
) -> Outcome:
    """Brings every host to an older release, with the image, env, compose, route and edge of its record.

    Needs no registry while the images are on the hosts, and leaves what looks on (Prometheus, exporter, watchdog) as
    it is. Raises what `deploy` raises, and UsageError where there is no such release.
    """
    return _roll(request, context, tell, wait=wait)


def confirm(
    request: DeployCommand, context: DeployContext, tell: Listener, *, wait: bool = False
) -> Outcome:
    """Records what is live as verified; where another image or configuration is, brings back what is asked for.

    That is a rollback to the newest verified release of both whose record a host holds, else a deploy. Another version
    of a secret is no other configuration here: rolling back takes today's values. Raises what `deploy` raises.
    """
    service, name, begun = request.service, request.service.name, context.clock.monotonic()
    seen = observe(context.hosts)
    live = {host.live(name) for host in seen}
    (release, *others) = live
    if release and not others and is_made_of(release, service, request.image, request.replica):
        with _locked(request, context, tell, wait=wait) as held:
            entry = entry_of(request, release, seen.next_turn(), context.clock.now())
            # Nothing was done to it.
            entry = replace(entry, verb="confirm", event="ended", outcome="confirmed")
            for host in held.values():
                host.record(entry)
        return Outcome(name, release.id, "", "unchanged", since(context.clock, begun))
    known = seen.newest_verified(service, request.image, request.replica)
    if known is None:
        return _roll(request, context, tell, wait=wait)
    back = RollbackCommand(
        service, request.origin, known.id, request.verb, request.pipeline, request.options
    )
    return _roll(back, context, tell, wait=wait)


def promote(
    request: PromoteCommand, context: DeployContext, tell: Listener, *, wait: bool = False
) -> Outcome:
    """Brings the held candidate's rollout to its end. Raises what `deploy` raises, LockedError if it isn't held."""
    return _roll(request, context, tell, wait=wait)


def scale(
    request: ScaleCommand, context: DeployContext, tell: Listener, *, wait: bool = False
) -> Outcome:
    """Runs more or fewer replicas of the live release on each host. Raises what `deploy` raises."""
    return _roll(request, context, tell, wait=wait)


def abort(
    request: AbortCommand, context: DeployContext, tell: Listener, *, wait: bool = False
) -> Outcome:
    """Removes the candidate; what is live goes on. There may be none to remove. Raises LockedError, StuckError."""
    name, release, begun = request.service.name, request.release, context.clock.monotonic()
    with _locked(request, context, tell, wait=wait) as held:
        seen = observe(context.hosts)
        known = seen.release(name, release)
        if known is None and not any(host.hold(name) for host in seen):
            return Outcome(name, release, "", "unchanged", since(context.clock, begun))
        if any(host.edge.live(name) == release for host in seen):
            raise LockedError(
                f"{name}: {release} is live, not a candidate; nothing was changed",
                hint=f"./ship rollback {name} goes back to the release before",
            )
        candidate = held_release(request, seen)
        desired = DesiredState(request.service, candidate, (), context.environment.keep_releases)
        live = seen.release(name, release_before(name, seen))
        plan_ = plan_revert(desired, live, seen, seen)
        attempt = Attempt(request, context, held, tell, begun, desired, seen, outcome="aborted")
        return attempt.run(plan_)


@contextmanager
def _locked(
    command: Command, context: DeployContext, tell: Listener, *, wait: bool = False
) -> Iterator[dict[str, LockedHost]]:
    with locked(
        context.hosts,
        who=command.origin.who,
        verb=command.verb,
        pipeline=command.pipeline,
        clock=context.clock,
        say=lambda text: tell(Message("", text)),
        wait=wait,
        longest_s=command.service.tasks.longest_s,
        redact=context.vault.redact,
    ) as held:
        yield held


def _wanted(command: RolloutCommand, context: DeployContext, seen: FleetState) -> DesiredState:
    secrets: tuple[Pinned, ...] = ()
    if isinstance(command, DeployCommand):
        service = command.service
        secrets = context.vault.pin(service.name, service.secrets, context.hosts)
        command = replace(
            command, origin=replace(command.origin, why=context.vault.redact(command.origin.why))
        )
    return resolve(command, context.environment, seen, secrets)


def _plan(
    command: RolloutCommand,
    desired: DesiredState,
    seen: FleetState,
    context: DeployContext,
) -> Plan:
    if isinstance(command, DeployCommand) and command.hold:
        who = Holder(command.origin.who, context.clock.now(), command.pipeline)
        return plan_hold(desired, seen, who)
    return plan_deploy(desired, seen)


def _roll(
    command: RolloutCommand, context: DeployContext, tell: Listener, *, wait: bool = False
) -> Outcome:
    begun = context.clock.monotonic()
    with _locked(command, context, tell, wait=wait) as held:
        seen = observe(context.hosts)
        desired = _wanted(command, context, seen)
        plan_ = _plan(command, desired, seen, context)
        if not plan_.phases:
            seconds = since(context.clock, begun)
            return Outcome(command.service.name, desired.release.id, "", "unchanged", seconds)
        preflight(context, desired, seen, tell)
        for release in {step.release for step in plan_.steps if isinstance(step, WriteSecrets)}:
            context.vault.require(release)
        ends = "held" if any(phase.name == "hold" for phase in plan_.phases) else "live"
        return Attempt(command, context, held, tell, begun, desired, seen, outcome=ends).run(plan_)
