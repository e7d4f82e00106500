"""Asks until every replica of a release has answered as it should; never changes where anybody is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from deploy.core.analysis.access_log import VERIFYING
from deploy.core.planning.steps import VerifyOutside, VerifyPreview
from deploy.core.ports import Answer, Clock, Host, Probe
from deploy.core.state.edge import EdgeRoute, direct_path
from deploy.core.state.release import Release
from deploy.errors import VerifyError
from deploy.run.hosts.waiting import wait_until
from deploy.run.steps.closed import await_closed
from deploy.run.steps.replicas import with_details

VERIFY_DEADLINE_S = 30.0

type Ask = Callable[[], Answer]


class Roll:
    """Counts which replicas of a release answered `/version` as they should; `in_a_row`, a wrong answer undoes all."""

    def __init__(self, release: Release, successes: int, *, in_a_row: bool) -> None:
        self._release = release
        self._successes = successes
        self._in_a_row = in_a_row
        self._missing = dict.fromkeys(release.names, successes)
        self.last = "nothing answered yet"

    def take(self, answer: Answer) -> bool:
        """Counts one answer; returns False for one that isn't this release's, kept as the last thing wrong."""
        told = _told(answer)
        release, replica = told.get("release"), told.get("replica")
        if (release, told.get("config_hash")) != (self._release.id, self._release.config_hash):
            self.refuse(f"{_status(answer)}, release {release or 'unknown'}")
            return False
        self.last = f"release {release}, replica {replica}"
        if replica in self._missing:
            self._missing[replica] -= 1
        return True

    def refuse(self, what: str) -> None:
        """Keeps what was wrong."""
        self.last = what
        if self._in_a_row:
            self._missing = dict.fromkeys(self._release.names, self._successes)

    @property
    def missing(self) -> list[str]:
        """The replicas that have not answered often enough, by name."""
        return [name for name, left in self._missing.items() if left > 0]


def verify_preview(host: Host, clock: Clock, step: VerifyPreview, preview_port: int) -> None:
    """Asks for `/version` on the preview route, then for the health path as often, all well and in a row.

    A wrong answer begins it anew. Raises VerifyError at the deadline, with a replica's last words.
    """
    release, route = step.release, step.route
    roll = Roll(release, step.successes, in_a_row=True)
    # The replica's own path, as its health check asks for it, whatever the service's route is.
    health_path = direct_path(release.service, release.id) + step.health_path
    version = _preview(host, preview_port, route, _version(route))
    health = _preview(host, preview_port, route, health_path)

    def steady() -> bool:
        return _all_answered(roll, release, step.successes, version) and _all_healthy(
            roll, len(release.names) * step.successes, health, step.health_path
        )

    _await(steady, roll, release, host, clock, f"{host.name}'s preview route")


def verify_outside(
    host: Host, clock: Clock, step: VerifyOutside, probe: Probe, url: str, preview_port: int
) -> None:
    """Asks the public URL until every replica has answered. Raises VerifyError at the deadline.

    Each has to answer once, and what is wrong undoes nothing: workers that are on their way out answer for the old
    release yet. How well the new one does under its users is watched next.
    """
    release, route = step.release, step.route
    public, where = public_version(probe, url, route), f"{host.name} at {url}"
    if route.maintenance:
        # Nobody gets in but by the preview route, so that is where the replicas are seen.
        await_closed(public, clock, where)
        public = _preview(host, preview_port, route, _version(route))
    roll = Roll(release, 1, in_a_row=False)
    _await(lambda: _all_answered(roll, release, 1, public), roll, release, host, clock, where)


def public_version(probe: Probe, url: str, route: EdgeRoute) -> Ask:
    """Returns what asks for `/version` as a user would."""
    headers = _asking(route)
    return lambda: probe.get(url.rstrip("/") + _version(route), headers=headers)


def _all_answered(roll: Roll, release: Release, successes: int, ask: Ask) -> bool:
    """Asks until a wrong answer, or as often as a fair share for each replica could need."""
    for _ in range(4 * len(release.names) * successes):
        if not roll.missing or not roll.take(ask()):
            break
    return not roll.missing


def _all_healthy(roll: Roll, times: int, ask: Ask, path: str) -> bool:
    for _ in range(times):
        answer = ask()
        if answer.status != 200:  # what a replica's own health check wants, too
            roll.refuse(f"{_status(answer)} at {path}")
            return False
    return True


def _await(
    verified: Callable[[], bool], roll: Roll, release: Release, host: Host, clock: Clock, where: str
) -> None:
    if wait_until(verified, clock, deadline_s=VERIFY_DEADLINE_S, every_s=0.2):
        return
    missing = roll.missing
    told = f"{where}: {', '.join(missing)} did not answer as {release.id} (last: {roll.last})"
    raise VerifyError(with_details(told, host, missing))


def _preview(host: Host, port: int, route: EdgeRoute, path: str) -> Ask:
    headers = _asking(route)
    return lambda: host.fetch(port, path, headers=headers)


def _asking(route: EdgeRoute) -> Mapping[str, str]:
    """Our own look is no evidence for the gate, so its request id says that it is one."""
    named = {"X-Request-Id": VERIFYING}
    return {**named, "Host": route.host} if route.host else named


def _version(route: EdgeRoute) -> str:
    return route.path.rstrip("/") + "/version"


def _status(answer: Answer) -> str:
    return f"HTTP {answer.status}" if answer.status else answer.body.decode(errors="replace")


def _told(answer: Answer) -> dict[str, Any]:
    try:
        told = json.loads(answer.body) if answer.status == 200 else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
