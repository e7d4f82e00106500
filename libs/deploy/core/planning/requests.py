"""The commands that change what a fleet runs, and the desired state that each one resolves to."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import assert_never

from deploy.core.config import Environment, Service, Tasks
from deploy.core.images.oci import rfc3339
from deploy.core.planning.plan import DesiredState, Strategy
from deploy.core.planning.rollout import adopt, is_unfinished
from deploy.core.planning.stack_steps import edge_to_restore
from deploy.core.state.fleet import FleetState
from deploy.core.state.hold import Hold
from deploy.core.state.ledger import Entry, Outcome
from deploy.core.state.release import Origin, Release, config_hash, make_release, scaled
from deploy.core.state.secrets import Pinned
from deploy.core.state.stack import Stack
from deploy.errors import LockedError, UsageError


@dataclass(frozen=True)
class DeployCommand:
    """Deploy this image of this service, with `replica` (replica.yml's text) and `stacks`.

    `hold` stops before the switch, with the candidate on the preview route. `canary` is the percentage of users'
    requests that the candidate gets before the first host switches. `verb` is what ledgers record. `cli_verb` (None:
    the same) and `options` make up the command line that deploys the same again.
    """

    service: Service
    image: str
    replica: str
    stacks: tuple[Stack, ...]
    origin: Origin
    verb: str = "deploy"
    pipeline: str = ""
    hold: bool = False
    canary: int = 0
    options: tuple[str, ...] = ()
    cli_verb: str | None = None


@dataclass(frozen=True)
class RollbackCommand:
    """Roll back to the release `to`, or with None to the one that was verified before the live one.

    `verb`, `cli_verb` and `options` are as in DeployCommand; without options the command line names the release.
    """

    service: Service
    origin: Origin
    to: str | None = None
    verb: str = "rollback"
    pipeline: str = ""
    options: tuple[str, ...] = ()
    cli_verb: str | None = None


@dataclass(frozen=True)
class PromoteCommand:
    """Finish the rollout of the held candidate `release`: switch, analysis, tidy."""

    service: Service
    origin: Origin
    release: str
    verb: str = "promote"
    pipeline: str = ""


@dataclass(frozen=True)
class ScaleCommand:
    """Run this many replicas of the live release on each host."""

    service: Service
    origin: Origin
    replicas: int
    verb: str = "scale"
    pipeline: str = ""


@dataclass(frozen=True)
class AbortCommand:
    """Remove the candidate `release`; the live release stays."""

    service: Service
    origin: Origin
    release: str
    verb: str = "abort"
    pipeline: str = ""


RolloutCommand = DeployCommand | RollbackCommand | PromoteCommand | ScaleCommand
Command = RolloutCommand | AbortCommand


def retry_command(command: Command, release: str) -> str:
    """Returns the command line that tries the same again; `release` is the one that the command resolved to."""
    name, verb = command.service.name, command.verb
    match command:
        case ScaleCommand(replicas=replicas):
            words: tuple[str, ...] = (f"{name}={replicas}",)
        case RollbackCommand(options=()):
            words = (name, "--to", release)
        case DeployCommand() | RollbackCommand():
            verb, words = command.cli_verb or verb, (name, *command.options)
        case PromoteCommand() | AbortCommand():
            words = (name, "--release", release)
        case _:
            assert_never(command)
    return shlex.join(["./ship", verb, *words])


def resolve(
    command: RolloutCommand,
    environment: Environment,
    fleet: FleetState,
    secrets: tuple[Pinned, ...] = (),
) -> DesiredState:
    """Returns what every host should run; `secrets` are those of a new release, with their current versions.

    Raises UsageError if there is no such release, and LockedError if another candidate is held or the named candidate
    isn't.
    """
    keep = environment.keep_releases
    match command:
        case DeployCommand(service=service, stacks=stacks):
            release = _release(command, environment, fleet, secrets)
            _refuse_if_held(command, fleet, allowed=release.id if command.hold else None)
            return DesiredState(service, release, stacks, keep, canary=command.canary)
        case RollbackCommand():
            _refuse_if_held(command, fleet)
            return _resolve_rollback(command, keep, fleet)
        case PromoteCommand(service=service):
            return DesiredState(service, held_release(command, fleet), (), keep)
        case ScaleCommand(service=service, replicas=replicas):
            _refuse_if_held(command, fleet)
            live = scaled(fleet.live_release(service.name), replicas)
            # The release's tasks ran when it went live; its service's configuration may name others by now.
            return DesiredState(replace(service, tasks=Tasks()), live, (), keep)
        case _:
            assert_never(command)


def _release(
    command: DeployCommand,
    environment: Environment,
    fleet: FleetState,
    secrets: tuple[Pinned, ...],
) -> Release:
    service, hashed = command.service, config_hash(command.service, command.replica, secrets)
    edge = next((stack for stack in command.stacks if stack.name == "edge"), None)
    return adopt(service, command.image, hashed, fleet, edge) or make_release(
        service,
        command.image,
        fleet.next_sequence(),
        command.replica,
        command.origin,
        subnet=environment.edge.subnet,
        secrets=secrets,
        edge=edge,
    )


def _resolve_rollback(command: RollbackCommand, keep: int, fleet: FleetState) -> DesiredState:
    name = command.service.name
    last = fleet.last_operation(name)
    if command.to is None and last is not None and _may_be_unfinished(command, last):
        # Once the first host has switched, "the release before the live one" is another one: a rerun finishes
        # the interrupted rollback instead.
        interrupted = fleet.release(name, last.release)
        if interrupted is not None:
            desired = _rollback_to(interrupted, command.service, keep, fleet)
            if is_unfinished(desired, fleet):
                return desired
    found = fleet.release(name, command.to) if command.to else fleet.previous_release(name)
    if found is None:
        raise _unknown(name, command.to, "to roll back to", fleet)
    return _rollback_to(found, command.service, keep, fleet)


def _may_be_unfinished(command: RollbackCommand, last: Entry) -> bool:
    # No outcome: interrupted. "live": maybe interrupted, since that is recorded before the old release is removed.
    return last.verb == command.verb and last.outcome in ("", Outcome.LIVE)


def _rollback_to(release: Release, service: Service, keep: int, fleet: FleetState) -> DesiredState:
    live = next((found for host in fleet if (found := host.live(service.name))), None)
    stacks = edge_to_restore(release, live, fleet)
    return DesiredState(service, release, stacks, keep, Strategy.ROLLBACK)


def _unknown(name: str, release: str | None, purpose: str, fleet: FleetState) -> UsageError:
    known = ", ".join(fleet.known_releases(name)) or "none"
    return UsageError(
        f"{name} has no {f'release {release}' if release else 'earlier release'} {purpose}; nothing was changed",
        hint=f"releases on the hosts: {known}; ./ship history {name} lists all that ever were",
    )


# Holds.


def _refuse_if_held(command: Command, fleet: FleetState, *, allowed: str | None = None) -> None:
    name = command.service.name
    hold = fleet.active_hold(name)
    if hold is not None and hold.release != allowed:
        raise LockedError(
            f"{name}: {_held_by(hold)}; nothing was changed",
            hint=f"./ship promote {name} --release {hold.release}, or ./ship abort {name} --release {hold.release}",
        )


def held_release(command: PromoteCommand | AbortCommand, fleet: FleetState) -> Release:
    """Returns the record of the candidate that the command names. Raises LockedError if it isn't the held one."""
    name, release = command.service.name, command.release
    hold = fleet.any_hold(name)
    promotes = isinstance(command, PromoteCommand)
    if promotes and hold is None and fleet.live_everywhere(name, release):
        # `deploy --hold` printed this release because it was live already: there is nothing left to do.
        return fleet.live_release(name)
    if hold is None or hold.release != release:
        held = _held_by(hold) if hold else "nothing is held"
        raise LockedError(
            f"{name}: {held}, not {release}; nothing was changed",
            hint=f"./ship status {name} shows the candidate; ./ship deploy {name} --hold makes one",
        )
    if promotes:
        _refuse_stale(hold, fleet)
    found = fleet.release(name, release)
    if found is None:
        raise _unknown(name, release, f"to {command.verb}", fleet)
    return found


def _refuse_stale(hold: Hold, fleet: FleetState) -> None:
    """Raises LockedError if another release went live since the candidate was held, or if the hold has expired."""
    name, release = hold.service, hold.release
    others = {host.edge.live(name) for host in fleet} - {hold.previous, release}
    if others:
        serving = ", ".join(sorted(other or "nothing" for other in others))
        raise LockedError(
            f"{name}: {serving} is live, but {release} was held beside {hold.previous or 'nothing'}; "
            "nothing was changed",
            hint=f"./ship abort {name} --release {release}, then ./ship deploy {name} --hold again",
        )
    if not fleet.live_anywhere(name, release) and fleet.active_hold(name) is None:
        raise LockedError(
            f"{name}: the hold on {release} has expired; nothing was changed",
            hint=f"./ship deploy {name} --hold again",
        )


def _held_by(hold: Hold) -> str:
    pipeline = f", pipeline {hold.pipeline}" if hold.pipeline else ""
    until = rfc3339(int(hold.expires_s))
    return f"{hold.release} is held by {hold.who} since {hold.since} until {until}{pipeline}"
