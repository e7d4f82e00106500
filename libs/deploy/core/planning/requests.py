"""What is asked for, and the release that it comes to once the hosts were looked at; never carries it out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import assert_never

from deploy.core.config import Environment, Service, Tasks
from deploy.core.images.oci import rfc3339
from deploy.core.planning.plan import DesiredState
from deploy.core.planning.rollout import adopt, half_done
from deploy.core.planning.stack_steps import edge_back
from deploy.core.state.fleet import FleetState
from deploy.core.state.hold import Hold
from deploy.core.state.release import (
    Origin,
    Release,
    config_hash,
    make_release,
    scaled,
)
from deploy.core.state.secrets import Pinned
from deploy.core.state.stack import Stack
from deploy.errors import LockedError, UsageError


@dataclass(frozen=True)
class DeployCommand:
    """This image of this service, with `replica` (replica.yml's text) and `stacks`.

    `hold` stops before the switch, with the candidate answering on the preview route. `canary` is the share of the
    users, in percent, that meet it before the first host switches. `options` are those of the command that asked.
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


@dataclass(frozen=True)
class RollbackCommand:
    """The release `to`, or "" for the one that was verified before this; a way back that nobody judges.

    `options` are those of the command that asked, () for the release's name.
    """

    service: Service
    origin: Origin
    to: str = ""
    verb: str = "rollback"
    pipeline: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromoteCommand:
    """The held candidate `release`, with the rest of its way: switch, gate, tidy."""

    service: Service
    origin: Origin
    release: str
    verb: str = "promote"
    pipeline: str = ""


@dataclass(frozen=True)
class ScaleCommand:
    """As many replicas of the live release on each host."""

    service: Service
    origin: Origin
    replicas: int
    verb: str = "scale"
    pipeline: str = ""


@dataclass(frozen=True)
class AbortCommand:
    """The end of the candidate `release`; what is live stays as it is."""

    service: Service
    origin: Origin
    release: str
    verb: str = "abort"
    pipeline: str = ""


RolloutCommand = DeployCommand | RollbackCommand | PromoteCommand | ScaleCommand
Command = RolloutCommand | AbortCommand


def again(command: Command, release: str) -> str:
    """Returns the command that asks for the same once more; `release` is the one that it came to."""
    name = command.service.name
    match command:
        case ScaleCommand(replicas=replicas):
            words: tuple[str, ...] = (f"{name}={replicas}",)
        case RollbackCommand(options=()):
            words = (name, "--to", release)
        case DeployCommand(options=options) | RollbackCommand(options=options):
            words = (name, *options)
        case PromoteCommand() | AbortCommand():
            words = (name, "--release", release)
        case _:
            assert_never(command)
    return shlex.join(["./ship", command.verb, *words])


def resolve(
    command: RolloutCommand,
    environment: Environment,
    seen: FleetState,
    secrets: tuple[Pinned, ...] = (),
) -> DesiredState:
    """Returns what every host should run; `secrets` are what a new release names, with today's versions.

    Raises UsageError where there is no such release, and LockedError where somebody holds another candidate, or the
    candidate that is named is not what is held.
    """
    keep = environment.keep_releases
    match command:
        case DeployCommand(service=service, stacks=stacks):
            release = _release(command, environment, seen, secrets)
            _refuse_if_held(command, seen, but=release.id if command.hold else "")
            return DesiredState(service, release, stacks, keep, canary=command.canary)
        case RollbackCommand():
            _refuse_if_held(command, seen)
            return _wanted_back(command, keep, seen)
        case PromoteCommand(service=service):
            return DesiredState(service, held_release(command, seen), (), keep)
        case ScaleCommand(service=service, replicas=replicas):
            _refuse_if_held(command, seen)
            live = scaled(seen.live_release(service.name), replicas)
            # What it runs once was run when it went live, by what its service said then.
            return DesiredState(replace(service, tasks=Tasks()), live, (), keep)
        case _:
            assert_never(command)


def _release(
    command: DeployCommand,
    environment: Environment,
    seen: FleetState,
    secrets: tuple[Pinned, ...],
) -> Release:
    service, hashed = command.service, config_hash(command.service, command.replica, secrets)
    edge = next((stack for stack in command.stacks if stack.name == "edge"), None)
    return adopt(service, command.image, hashed, seen, edge) or make_release(
        service,
        command.image,
        seen.next_sequence(),
        command.replica,
        command.origin,
        subnet=environment.edge.subnet,
        secrets=secrets,
        edge=edge,
    )


def _wanted_back(command: RollbackCommand, keep: int, seen: FleetState) -> DesiredState:
    name = command.service.name
    last = seen.last_operation(name)
    if not command.to and last and last.verb == command.verb and last.outcome in ("", "live"):
        # "The one before" means another release once the first has switched: a rerun ends what a kill left.
        begun = seen.release(name, last.release)
        if begun and half_done(desired := _back_to(begun, command.service, keep, seen), seen):
            return desired
    found = seen.release(name, command.to) if command.to else seen.previous_release(name)
    if found is None:
        raise _unknown(name, command.to, "to go back to", seen)
    return _back_to(found, command.service, keep, seen)


def _back_to(release: Release, service: Service, keep: int, seen: FleetState) -> DesiredState:
    live = next((found for host in seen if (found := host.live(service.name))), None)
    return DesiredState(service, release, edge_back(release, live, seen), keep, judged=False)


def _unknown(name: str, release: str, what: str, seen: FleetState) -> UsageError:
    known = ", ".join(seen.known_releases(name)) or "none"
    return UsageError(
        f"{name} has no {f'release {release}' if release else 'earlier release'} {what}; nothing was changed",
        hint=f"releases on the hosts: {known}; ./ship history {name} tells of all",
    )


# Holds.


def _refuse_if_held(command: Command, seen: FleetState, *, but: str = "") -> None:
    name = command.service.name
    hold = seen.lasting_hold(name)
    if hold is not None and hold.release != but:
        raise LockedError(
            f"{name}: {_told(hold)}; nothing was changed",
            hint=f"./ship promote {name} --release {hold.release}, or ./ship abort {name} --release {hold.release}",
        )


def held_release(command: PromoteCommand | AbortCommand, seen: FleetState) -> Release:
    """Returns the record of the candidate that is named. Raises LockedError if it isn't what was held."""
    name, release = command.service.name, command.release
    hold = seen.any_hold(name)
    if (
        command.verb == "promote"
        and hold is None
        and {h.edge.live(name) for h in seen} == {release}
    ):
        # `deploy --hold` found it live already and told its name: there is nothing left to do.
        return seen.live_release(name)
    if hold is None or hold.release != release:
        what = _told(hold) if hold else "nothing is held"
        raise LockedError(
            f"{name}: {what}, not {release}; nothing was changed",
            hint=f"./ship status {name} shows what is; ./ship deploy {name} --hold makes a candidate",
        )
    live = {host.edge.live(name) for host in seen}
    if command.verb == "promote" and not live <= {hold.previous, release}:
        other = ", ".join(sorted(live - {hold.previous, release, ""})) or "nothing"
        raise LockedError(
            f"{name}: {other} is live, but {release} was held beside {hold.previous or 'nothing'}; "
            "nothing was changed",
            hint=f"./ship abort {name} --release {release}, then ./ship deploy {name} --hold anew",
        )
    if command.verb == "promote" and release not in live and seen.lasting_hold(name) is None:
        raise LockedError(
            f"{name}: the hold on {release} has expired; nothing was changed",
            hint=f"./ship deploy {name} --hold anew",
        )
    found = seen.release(name, release)
    if found is None:
        raise _unknown(name, release, f"to {command.verb}", seen)
    return found


def _told(hold: Hold) -> str:
    pipeline = f", pipeline {hold.pipeline}" if hold.pipeline else ""
    until = rfc3339(int(hold.expires_s))
    return f"{hold.release} is held by {hold.who} since {hold.since} until {until}{pipeline}"
