"""The operations on a service's releases: deploy, roll back, confirm, promote, scale, abort and revert."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from deploy.core.config import Service
from deploy.core.planning.plan import DesiredState, Holder, PhaseKind, Plan
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
from deploy.core.state.ledger import EntryEvent, Outcome
from deploy.core.state.release import Origin, is_made_of
from deploy.core.state.secrets import Pinned
from deploy.errors import LockedError
from deploy.run.hosts.locked_host import LockedHost
from deploy.run.hosts.locking import lock_hosts
from deploy.run.hosts.observe import observe
from deploy.run.rollout.attempt import Attempt, entry_of
from deploy.run.rollout.context import (
    DeployContext,
    Result,
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
    "Result",
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
    "revert",
    "rollback",
    "scale",
]


type Complete = Callable[[DeployCommand], DeployCommand]


def plan(command: RolloutCommand, context: DeployContext) -> Plan:
    """Returns the plan that the command would execute now; changes nothing."""
    fleet = observe(context.hosts)
    return _plan(command, _resolve(command, context, fleet), fleet, context)


def deploy(
    command: DeployCommand,
    context: DeployContext,
    emit: Listener,
    *,
    wait: bool = False,
    complete: Complete | None = None,
) -> Result:
    """Brings every host to the release; if that fails, reverts every host. With `wait` it queues for the lock.

    `complete` adds to the command what the registry knows, while the hosts are observed.

    Raises RevertedError if it failed and every host was reverted, StuckError if that failed as well or the candidate
    is held for a person, LockedError and PreflightError before anything was changed.
    """
    return _roll_out(command, context, emit, wait=wait, complete=complete)


def rollback(
    command: RollbackCommand, context: DeployContext, emit: Listener, *, wait: bool = False
) -> Result:
    """Brings every host to an earlier release, with the image, env, compose text, route and edge of its record.

    It needs no registry while the images are on the hosts, and leaves the other stacks (Prometheus, exporter, watchdog)
    as they are. Raises what `deploy` raises, and UsageError if there is no such release.
    """
    return _roll_out(command, context, emit, wait=wait)


def confirm(
    command: DeployCommand, context: DeployContext, emit: Listener, *, wait: bool = False
) -> Result:
    """Records the live release as verified if it has this image and configuration, else makes such a release live.

    It rolls back to the newest verified release of this image and configuration whose record a host has, or deploys a
    new release if there is none. Another version of a secret doesn't count as another configuration: a rollback uses
    the current values.
    Raises what `deploy` raises.
    """
    service, name, begun = command.service, command.service.name, context.clock.monotonic()
    fleet = observe(context.hosts)
    (release, *others) = {host.live(name) for host in fleet}
    if release and not others and is_made_of(release, service, command.image, command.replica):
        with _lock(command, context, emit, wait=wait) as hosts:
            entry = entry_of(command, release, fleet.next_turn(), context.clock.now())
            # Nothing was done to the release.
            confirmed = replace(
                entry, verb="confirm", event=EntryEvent.ENDED, outcome=Outcome.CONFIRMED
            )
            for host in hosts.values():
                host.record(confirmed)
        return _unchanged(name, release.id, context, begun)
    command = replace(command, cli_verb="confirm", options=("--image", command.image))
    known = fleet.newest_verified(service, command.image, command.replica)
    if known is None:
        return _roll_out(command, context, emit, wait=wait)
    rollback_command = RollbackCommand(
        service,
        command.origin,
        known.id,
        command.verb,
        command.pipeline,
        command.options,
        command.cli_verb,
    )
    return _roll_out(rollback_command, context, emit, wait=wait)


def promote(
    command: PromoteCommand, context: DeployContext, emit: Listener, *, wait: bool = False
) -> Result:
    """Finishes the rollout of the held candidate. Raises what `deploy` raises, LockedError if it isn't held."""
    return _roll_out(command, context, emit, wait=wait)


def scale(
    command: ScaleCommand, context: DeployContext, emit: Listener, *, wait: bool = False
) -> Result:
    """Runs more or fewer replicas of the live release on each host. Raises what `deploy` raises."""
    return _roll_out(command, context, emit, wait=wait)


def abort(
    command: AbortCommand, context: DeployContext, emit: Listener, *, wait: bool = False
) -> Result:
    """Removes the candidate, if it is still there; the live release stays. Raises LockedError, StuckError."""
    name, release, begun = command.service.name, command.release, context.clock.monotonic()
    with _lock(command, context, emit, wait=wait) as hosts:
        fleet = observe(context.hosts)
        if fleet.release(name, release) is None and fleet.any_hold(name) is None:
            return _unchanged(name, release, context, begun)
        if fleet.live_anywhere(name, release):
            raise LockedError(
                f"{name}: {release} is live, not a candidate; nothing was changed",
                hint=f"./ship rollback {name} returns to the release before it",
            )
        candidate = held_release(command, fleet)
        desired = DesiredState(command.service, candidate, (), context.environment.keep_releases)
        live = fleet.release(name, release_before(name, fleet))
        removal = plan_revert(desired, live, fleet, fleet)
        attempt = Attempt(
            command, context, hosts, emit, begun, desired, fleet, outcome=Outcome.ABORTED
        )
        return attempt.run(removal)


def revert(
    service: Service,
    origin: Origin,
    release: str,
    context: DeployContext,
    emit: Listener,
    pipeline: str = "",
) -> Result:
    """Removes one release: aborts it if it is a candidate, rolls back to the one before it if it is live.

    The last job of a pipeline knows which release the pipeline made, but not how far it came. If the release is neither
    held nor live, or "" because none was made, nothing is done. Raises what `abort` and `rollback` raise.
    """
    begun = context.clock.monotonic()
    fleet = observe(context.hosts) if release else FleetState()
    hold = fleet.any_hold(service.name)
    is_held = hold is not None and hold.release == release
    if fleet.live_anywhere(service.name, release):
        before = hold.previous if hold and is_held else None
        options = ("--release", release)
        rollback_command = RollbackCommand(
            service, origin, before, pipeline=pipeline, options=options, cli_verb="revert"
        )
        return rollback(rollback_command, context, emit, wait=True)
    if is_held:
        command = AbortCommand(service, origin, release, pipeline=pipeline)
        return abort(command, context, emit, wait=True)
    return _unchanged(service.name, release, context, begun)


def _unchanged(service: str, release: str, context: DeployContext, begun: float) -> Result:
    return Result(service, release, None, Outcome.UNCHANGED, since(context.clock, begun))


@contextmanager
def _lock(
    command: Command, context: DeployContext, emit: Listener, *, wait: bool = False
) -> Iterator[dict[str, LockedHost]]:
    with lock_hosts(
        context.hosts,
        who=command.origin.who,
        verb=command.verb,
        pipeline=command.pipeline,
        clock=context.clock,
        say=lambda text: emit(Message(None, text)),
        wait=wait,
        longest_s=command.service.tasks.longest_s,
        redact=context.secrets.redact,
    ) as hosts:
        yield hosts


def _resolve(command: RolloutCommand, context: DeployContext, fleet: FleetState) -> DesiredState:
    secrets: tuple[Pinned, ...] = ()
    if isinstance(command, DeployCommand):
        service, origin = command.service, command.origin
        secrets = context.secrets.pin(service.name, service.secrets, context.hosts)
        redacted = replace(origin, why=context.secrets.redact(origin.why))
        command = replace(command, origin=redacted)
    return resolve(command, context.environment, fleet, secrets)


def _plan(
    command: RolloutCommand,
    desired: DesiredState,
    fleet: FleetState,
    context: DeployContext,
) -> Plan:
    if isinstance(command, DeployCommand) and command.hold:
        who = Holder(command.origin.who, context.clock.now(), command.pipeline)
        return plan_hold(desired, fleet, who)
    return plan_deploy(desired, fleet)


def _roll_out(
    command: RolloutCommand,
    context: DeployContext,
    emit: Listener,
    *,
    wait: bool = False,
    complete: Complete | None = None,
) -> Result:
    begun = context.clock.monotonic()
    with _lock(command, context, emit, wait=wait) as hosts:
        if complete is not None and isinstance(command, DeployCommand):
            with ThreadPoolExecutor(max_workers=1) as pool:
                completed = pool.submit(complete, command)
                fleet = observe(context.hosts)
            command = completed.result()
        else:
            fleet = observe(context.hosts)
        desired = _resolve(command, context, fleet)
        plan_ = _plan(command, desired, fleet, context)
        if not plan_.phases:
            return _unchanged(command.service.name, desired.release.id, context, begun)
        preflight(context, desired, fleet, emit)
        for release in {step.release for step in plan_.steps if isinstance(step, WriteSecrets)}:
            context.secrets.require(release)
        outcome = Outcome.HELD if plan_.has_phase(PhaseKind.HOLD) else Outcome.LIVE
        attempt = Attempt(command, context, hosts, emit, begun, desired, fleet, outcome=outcome)
        return attempt.run(plan_)
