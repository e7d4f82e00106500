"""What is asked for, and the release that it comes to once the hosts were looked at; never carries it out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import assert_never

from deploy.core.config import Environment, Service, Tasks
from deploy.core.images.oci import rfc3339
from deploy.core.planning.plan import Wanted
from deploy.core.planning.rollout import adopt, half_done
from deploy.core.planning.stack_steps import edge_back
from deploy.core.state.hold import Hold
from deploy.core.state.observed import (
    Observed,
    any_hold,
    known_releases,
    last_operation,
    lasting_hold,
    live_release,
    next_sequence,
    previous_release,
    release_named,
)
from deploy.core.state.release import (
    Origin,
    Release,
    config_hash,
    make_release,
    scaled,
)
from deploy.core.state.secrets import Pinned
from deploy.core.state.stack import Part
from deploy.errors import LockedError, UsageError


@dataclass(frozen=True)
class Request:
    """This image of this service, with `replica` (replica.yml's text) and `parts`.

    `hold` stops before the switch, with the candidate answering on the preview route. `canary` is the share of the
    users, in percent, that meet it before the first host switches. `options` are those of the command that asked.
    """

    service: Service
    image: str
    replica: str
    parts: tuple[Part, ...]
    origin: Origin
    verb: str = "deploy"
    pipeline: str = ""
    hold: bool = False
    canary: int = 0
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rollback:
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
class Promotion:
    """The held candidate `release`, with the rest of its way: switch, gate, tidy."""

    service: Service
    origin: Origin
    release: str
    verb: str = "promote"
    pipeline: str = ""


@dataclass(frozen=True)
class Scale:
    """As many replicas of the live release on each host."""

    service: Service
    origin: Origin
    replicas: int
    verb: str = "scale"
    pipeline: str = ""


@dataclass(frozen=True)
class Abort:
    """The end of the candidate `release`; what is live stays as it is."""

    service: Service
    origin: Origin
    release: str
    verb: str = "abort"
    pipeline: str = ""


Forward = Request | Rollback | Promotion | Scale
Asked = Forward | Abort


def again(asked: Asked, release: str) -> str:
    """Returns the command that asks for the same once more; `release` is the one that it came to."""
    name = asked.service.name
    match asked:
        case Scale(replicas=replicas):
            words: tuple[str, ...] = (f"{name}={replicas}",)
        case Rollback(options=()):
            words = (name, "--to", release)
        case Request(options=options) | Rollback(options=options):
            words = (name, *options)
        case Promotion() | Abort():
            words = (name, "--release", release)
        case _:
            assert_never(asked)
    return shlex.join(["./ship", asked.verb, *words])


def wanted_by(
    asked: Forward,
    environment: Environment,
    seen: tuple[Observed, ...],
    secrets: tuple[Pinned, ...] = (),
) -> Wanted:
    """Returns what every host should run; `secrets` are what a new release names, with today's versions.

    Raises UsageError where there is no such release, and LockedError where somebody holds another candidate, or the
    candidate that is named is not what is held.
    """
    keep = environment.keep_releases
    match asked:
        case Request(service=service, parts=parts):
            release = _release(asked, environment, seen, secrets)
            _refuse_if_held(asked, seen, but=release.id if asked.hold else "")
            return Wanted(service, release, parts, keep, canary=asked.canary)
        case Rollback():
            _refuse_if_held(asked, seen)
            return _wanted_back(asked, keep, seen)
        case Promotion(service=service):
            return Wanted(service, held_release(asked, seen), (), keep)
        case Scale(service=service, replicas=replicas):
            _refuse_if_held(asked, seen)
            live = scaled(live_release(service.name, seen), replicas)
            # What it runs once was run when it went live, by what its service said then.
            return Wanted(replace(service, tasks=Tasks()), live, (), keep)
        case _:
            assert_never(asked)


def _release(
    asked: Request,
    environment: Environment,
    seen: tuple[Observed, ...],
    secrets: tuple[Pinned, ...],
) -> Release:
    service, hashed = asked.service, config_hash(asked.service, asked.replica, secrets)
    edge = next((part for part in asked.parts if part.name == "edge"), None)
    return adopt(service, asked.image, hashed, seen, edge) or make_release(
        service,
        asked.image,
        next_sequence(seen),
        asked.replica,
        asked.origin,
        subnet=environment.edge.subnet,
        secrets=secrets,
        edge=edge,
    )


def _wanted_back(asked: Rollback, keep: int, seen: tuple[Observed, ...]) -> Wanted:
    name = asked.service.name
    last = last_operation(name, seen)
    if not asked.to and last and last.verb == asked.verb and last.outcome in ("", "live"):
        # "The one before" means another release once the first has switched: a rerun ends what a kill left.
        begun = release_named(name, last.release, seen)
        if begun and half_done(wanted := _back_to(begun, asked.service, keep, seen), seen):
            return wanted
    found = release_named(name, asked.to, seen) if asked.to else previous_release(name, seen)
    if found is None:
        raise _unknown(name, asked.to, "to go back to", seen)
    return _back_to(found, asked.service, keep, seen)


def _back_to(release: Release, service: Service, keep: int, seen: tuple[Observed, ...]) -> Wanted:
    live = next((found for host in seen if (found := host.live(service.name))), None)
    return Wanted(service, release, edge_back(release, live, seen), keep, judged=False)


def _unknown(name: str, release: str, what: str, seen: tuple[Observed, ...]) -> UsageError:
    known = ", ".join(known_releases(name, seen)) or "none"
    return UsageError(
        f"{name} has no {f'release {release}' if release else 'earlier release'} {what}; nothing was changed",
        hint=f"releases on the hosts: {known}; ./ship history {name} tells of all",
    )


# Holds.


def _refuse_if_held(asked: Asked, seen: tuple[Observed, ...], *, but: str = "") -> None:
    name = asked.service.name
    hold = lasting_hold(seen, name)
    if hold is not None and hold.release != but:
        raise LockedError(
            f"{name}: {_told(hold)}; nothing was changed",
            hint=f"./ship promote {name} --release {hold.release}, or ./ship abort {name} --release {hold.release}",
        )


def held_release(asked: Promotion | Abort, seen: tuple[Observed, ...]) -> Release:
    """Returns the record of the candidate that is named. Raises LockedError if it isn't what was held."""
    name, release = asked.service.name, asked.release
    hold = any_hold(seen, name)
    if asked.verb == "promote" and hold is None and {h.edge.live(name) for h in seen} == {release}:
        # `deploy --hold` found it live already and told its name: there is nothing left to do.
        return live_release(name, seen)
    if hold is None or hold.release != release:
        what = _told(hold) if hold else "nothing is held"
        raise LockedError(
            f"{name}: {what}, not {release}; nothing was changed",
            hint=f"./ship status {name} shows what is; ./ship deploy {name} --hold makes a candidate",
        )
    live = {host.edge.live(name) for host in seen}
    if asked.verb == "promote" and not live <= {hold.previous, release}:
        other = ", ".join(sorted(live - {hold.previous, release, ""})) or "nothing"
        raise LockedError(
            f"{name}: {other} is live, but {release} was held beside {hold.previous or 'nothing'}; "
            "nothing was changed",
            hint=f"./ship abort {name} --release {release}, then ./ship deploy {name} --hold anew",
        )
    if asked.verb == "promote" and release not in live and lasting_hold(seen, name) is None:
        raise LockedError(
            f"{name}: the hold on {release} has expired; nothing was changed",
            hint=f"./ship deploy {name} --hold anew",
        )
    found = release_named(name, release, seen)
    if found is None:
        raise _unknown(name, release, f"to {asked.verb}", seen)
    return found


def _told(hold: Hold) -> str:
    pipeline = f", pipeline {hold.pipeline}" if hold.pipeline else ""
    until = rfc3339(int(hold.expires_s))
    return f"{hold.release} is held by {hold.who} since {hold.since} until {until}{pipeline}"
