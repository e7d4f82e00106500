"""Changes and watches the edges of a host (two, while one takes over); never decides what they route."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.core.commands import paths, stacks
from deploy.core.config import Edge
from deploy.core.ports import Clock, Host
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.edge import EdgeRoute, EdgeState, generation_of, parse_edge
from deploy.errors import CommandError, VerifyError
from deploy.run.hosts.locked_host import LockedHost, last_line
from deploy.run.hosts.waiting import wait_until

RELOAD_DEADLINE_S = 15.0
ANSWERS_IN_A_ROW = 3
# Of two edges each is met by every second connection: that one is never met in so many is one in a thousand.
ASKED_AN_EDGE = 10


def set_route(held: LockedHost, clock: Clock, route: EdgeRoute, edge: Edge) -> None:
    """Gives all edges of a host one service's route, leaving the others; returns when fresh connections get it.

    Raises VerifyError if nginx refuses the text (nothing changed then) or doesn't take it up in time.
    """
    host = held.host
    before = read_edge(host)
    after = before.with_route(route)
    generation, preview_port = generation_of(after), edge.preview_port
    if before != after or not _serves(host, preview_port, generation):
        text = render_edge(after, http_port=edge.http_port, preview_port=preview_port)
        size, left = len(text.encode()), generation_of(before)
        argv = stacks.replace_routes(size, left, generation)
        done = held.run(argv, _routing(route), stdin=text.encode())
        if done.code == stacks.NGINX_REFUSED:
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
            hint="docker logs of the container labelled py-cicd.name=edge, on that host, says why",
        )


def _routing(route: EdgeRoute) -> str:
    """Says in the record where the service goes from here on."""
    to = "the page of a closed service" if route.maintenance else route.live or "nothing"
    return f"routing {route.service} to {to}, candidate {route.candidate or 'none'}"


def read_edge(host: Host) -> EdgeState:
    """Returns what the edges' text says now."""
    return parse_edge((host.read(paths.ROUTES) or b"").decode())


def answering(host: Host, preview_port: int) -> frozenset[str]:
    """Returns the keys of the edges that answer on the preview listener, asked a few times."""
    asked = (_ask(host, preview_port) for _ in range(ASKED_AN_EDGE))
    return frozenset(key for _, key in asked if key)


def accepting(host: Host) -> frozenset[str] | None:
    """Returns the keys of the edges that take new connections, None if that can't be told."""
    found = _processes(host)
    return None if found is None else frozenset(each.key for each in found if each.serves)


def _serves(host: Host, preview_port: int, generation: str) -> bool:
    """Asks until every edge has answered some times in a row; two share the port, and the kernel chooses."""
    keys = accepting(host)
    if not keys:
        return False
    missing = dict.fromkeys(keys, ANSWERS_IN_A_ROW)
    for _ in range(ASKED_AN_EDGE * len(keys)):
        said, key = _ask(host, preview_port)
        if said != generation:
            return False
        missing[key] = missing.get(key, 0) - 1
        if all(left <= 0 for left in missing.values()):
            return True
    return False


def _ask(host: Host, preview_port: int) -> tuple[str, str]:
    """Returns what is in force at an edge, and the edge's key."""
    answer = host.fetch(preview_port, "/-/generation")
    generation, _, key = answer.body.decode().partition(" ") if answer.status == 200 else ("",) * 3
    return generation, key


def await_drained(host: Host, clock: Clock, *, deadline_s: float) -> None:
    """Waits for the workers that are shutting down now, of any edge. Raises VerifyError at the deadline."""
    watch = _Leaving(host)
    if not wait_until(watch.over, clock, deadline_s=deadline_s, every_s=0.5):
        what = "still run" if watch.waited else "can't be counted"
        raise VerifyError(f"{host.name}: workers of the old edge {what} after {deadline_s:g} s")


@dataclass(frozen=True)
class _Process:
    """One process of an edge."""

    key: str
    pid: str
    title: str

    @property
    def leaves(self) -> bool:
        return "is shutting down" in self.title

    @property
    def serves(self) -> bool:
        return self.title.rstrip().endswith("worker process")


def _processes(host: Host) -> tuple[_Process, ...] | None:
    """Returns the processes of all edges; None where a look failed, which tells nothing."""
    done = host.run(stacks.edge_processes())
    if done.code != 0:
        return None
    lines = [line.split(None, 2) for line in done.stdout.splitlines()]
    return tuple(_Process(*each) for each in lines if len(each) == 3)


class _Leaving:
    """The workers that were shutting down at the first look that told; those that leave later don't count."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.waited: set[str] | None = None

    def over(self) -> bool:
        """Looks; a look that fails tells nothing, so nobody is taken for gone by it."""
        found = _processes(self._host)
        if found is None:
            return False
        leaving = {each.pid for each in found if each.leaves}
        if self.waited is None:
            self.waited = leaving
        return not self.waited & leaving
