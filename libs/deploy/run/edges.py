"""Changes and watches the edge of a host; never decides what it routes."""

from __future__ import annotations

import json
from typing import Any

from deploy.core import commands
from deploy.core.edge import EdgeRoute, EdgeState, generation_of, parse_edge, render_edge
from deploy.core.ports import Answer, Clock, Host
from deploy.core.releases import Release
from deploy.errors import CommandError, VerifyError
from deploy.run.guard import HeldHost, last_line
from deploy.run.waiting import wait_until

RELOAD_DEADLINE_S = 15.0
ANSWERS_IN_A_ROW = 3


def set_route(held: HeldHost, clock: Clock, route: EdgeRoute, *, preview_port: int) -> None:
    """Gives the edge one service's route, leaving the others; returns when fresh connections get it.

    Raises VerifyError if nginx refuses the text (nothing changed then) or doesn't take it up in time.
    """
    host = held.host
    before = read_edge(host)
    after = before.with_route(route)
    generation = generation_of(after)
    if before != after or not _serves(host, preview_port, generation):
        text = render_edge(after, preview_port=preview_port)
        what = f"routing {route.service} to {route.live or 'nothing'}, candidate {route.candidate or 'none'}"
        done = held.effect(commands.replace_routes(len(text.encode())), what, stdin=text.encode())
        if done.code == commands.NGINX_REFUSED:
            raise VerifyError(
                f"{host.name}: nginx refuses the edge's new text, nothing changed: {last_line(done)}"
            )
        if done.code != 0:
            raise CommandError(
                f"{host.name}: the edge can't be changed ({done.code}): {last_line(done)}"
            )
    if not wait_until(
        lambda: _serves(host, preview_port, generation),
        clock,
        deadline_s=RELOAD_DEADLINE_S,
        every_s=0.05,
    ):
        raise VerifyError(
            f"{host.name}: the edge did not take up its new text in {RELOAD_DEADLINE_S:g} s",
            hint=f"docker logs {commands.EDGE}, on that host, says why",
        )


def read_edge(host: Host) -> EdgeState:
    """Returns what the edge's text says now."""
    return parse_edge((host.read(commands.ROUTES) or b"").decode())


def _serves(host: Host, preview_port: int, generation: str) -> bool:
    asked = (host.fetch(preview_port, "/-/generation") for _ in range(ANSWERS_IN_A_ROW))
    return all(answer.status == 200 and answer.body.decode() == generation for answer in asked)


def await_drained(host: Host, clock: Clock, *, deadline_s: float) -> None:
    """Waits for the workers that are shutting down now. Raises VerifyError at the deadline."""
    watch = _Leaving(host)
    if not wait_until(watch.over, clock, deadline_s=deadline_s, every_s=0.5):
        what = "still run" if watch.waited else "can't be counted"
        raise VerifyError(f"{host.name}: workers of the old edge {what} after {deadline_s:g} s")


class _Leaving:
    """The workers that were shutting down at the first look that told; those that leave later don't count."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.waited: set[str] | None = None

    def over(self) -> bool:
        """Looks; a look that fails tells nothing, so nobody is taken for gone by it."""
        done = self._host.run(commands.edge_processes())
        if done.code != 0:
            return self._edge_is_down()
        lines = [line.split(None, 1) for line in done.stdout.splitlines()]
        leaving = {each[0] for each in lines if len(each) == 2 and "is shutting down" in each[1]}
        if self.waited is None:
            self.waited = leaving
        return not self.waited & leaving

    def _edge_is_down(self) -> bool:
        found = json.loads(self._host.run(commands.inspect([commands.EDGE])).stdout or "[]")
        return bool(found) and found[0]["State"]["Status"] in ("exited", "dead", "created")


class Roll:
    """Counts which replicas of a release answered `/version` as they should."""

    def __init__(self, release: Release, successes: int) -> None:
        self._release = release
        self._missing = dict.fromkeys(release.names, successes)
        self.last = "nothing answered yet"

    def take(self, answer: Answer) -> bool:
        """Counts one answer; returns False for one that isn't this release's, kept as the last thing wrong."""
        told = _told(answer)
        release, replica = told.get("release"), told.get("replica")
        if (release, told.get("config_hash")) != (self._release.id, self._release.config_hash):
            status = (
                f"HTTP {answer.status}" if answer.status else answer.body.decode(errors="replace")
            )
            self.last = f"{status}, release {release or 'unknown'}"
            return False
        self.last = f"release {release}, replica {replica}"
        if replica in self._missing:
            self._missing[replica] -= 1
        return True

    @property
    def missing(self) -> list[str]:
        """The replicas that have not answered often enough, by name."""
        return [name for name, left in self._missing.items() if left > 0]


def _told(answer: Answer) -> dict[str, Any]:
    try:
        told = json.loads(answer.body) if answer.status == 200 else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
