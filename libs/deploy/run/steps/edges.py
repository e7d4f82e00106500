"""Changes the routes of a host's edges, and waits for their workers to drain.

A host has two edges while a new one replaces the old one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deploy.core.commands import edge_state, paths, stacks
from deploy.core.config import Edge
from deploy.core.ports import Clock, Host
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.edge import EdgeRoute, EdgeState, dump_edge, generation_of
from deploy.errors import CommandError, RecordError, VerifyError
from deploy.run.hosts.locked_host import LockedHost, last_line
from deploy.run.hosts.waiting import wait_until

RELOAD_DEADLINE_S = 15.0
ANSWERS_IN_A_ROW = 3
# Two edges share the port, so each gets every second connection: the chance to miss one ten times is 1 in 1000.
REQUESTS_PER_EDGE = 10


def set_route(locked: LockedHost, clock: Clock, route: EdgeRoute, edge: Edge) -> None:
    """Replaces one service's route in all edges of a host; returns when new connections get it.

    Raises VerifyError if nginx refuses the new text, which leaves the old one in force, or doesn't load it in time, and
    RecordError if the edge's state can't be read.
    """
    before = read_edge(locked.host)
    after = before.with_route(route)
    if before == after and _serves(locked.host, edge.preview_port, generation_of(after)):
        return
    set_state(locked, clock, after, generation_of(before), edge, _routing(route))


def set_state(
    locked: LockedHost, clock: Clock, state: EdgeState, left: str, edge: Edge, what: str
) -> None:
    """Replaces the state of all edges of a host, whose generation is `left`; returns when new connections get it.

    `what` is for the ledger. Raises what `set_route` raises.
    """
    host, generation, preview_port = locked.host, generation_of(state), edge.preview_port
    text = render_edge(state, http_port=edge.http_port, preview_port=preview_port).encode()
    stored = dump_edge(state).encode()
    argv = stacks.replace_routes(len(text), left, generation, stored)
    done = locked.run(argv, what, stdin=stored + text)
    if done.code == stacks.NGINX_REFUSED:
        raise VerifyError(
            f"{host.name}: nginx refused the edge's new configuration, nothing was changed: {last_line(done)}"
        )
    if done.code != 0:
        raise CommandError(
            f"{host.name}: changing the edge failed ({done.code}): {last_line(done)}"
        )
    keys = _accepting(_parse_processes(done.stdout))
    if not wait_until(
        lambda: _serves(host, preview_port, generation, keys),
        clock,
        deadline_s=RELOAD_DEADLINE_S,
        every_s=0.05,
    ):
        raise VerifyError(
            f"{host.name}: the edge did not load its new configuration in {RELOAD_DEADLINE_S:g} s",
            hint="docker logs of the container labelled py-cicd.name=edge, on that host, says why",
        )


def running_generation(host: Host, preview_port: int) -> str:
    """Returns the generation that an edge of the host serves now, "" if none answers."""
    return _generation(host, preview_port)[0]


def _routing(route: EdgeRoute) -> str:
    """Returns the words for the ledger: where the service's users go from now on."""
    to = "the maintenance page" if route.maintenance else route.live or "nothing"
    return f"routing {route.service} to {to}, candidate {route.candidate or 'none'}"


def read_edge(host: Host) -> EdgeState:
    """Returns the routes that the edges' configuration has now. Raises RecordError if they can't be read."""
    done = host.run(edge_state.read())
    if done.code != 0:
        raise CommandError(f"{host.name}: the edge's state can't be read: {last_line(done)}")
    try:
        return edge_state.parse(done.stdout)
    except ValueError as error:
        raise RecordError(
            f"{host.name}: the edge's state ({paths.ROUTES}) can't be read: {error}",
            hint="./ship status shows what is served",
        ) from error


def answering(host: Host, preview_port: int) -> frozenset[str]:
    """Returns the keys of the edges that answered on the preview listener in a few requests."""
    answers = (_generation(host, preview_port) for _ in range(REQUESTS_PER_EDGE))
    return frozenset(key for _, key in answers if key)


def accepting(host: Host) -> frozenset[str] | None:
    """Returns the keys of the edges that accept new connections, None if the processes can't be listed."""
    found = _processes(host)
    return None if found is None else _accepting(found)


def _accepting(processes: Iterable[_Process]) -> frozenset[str]:
    return frozenset(process.key for process in processes if process.serves)


def _serves(
    host: Host, preview_port: int, generation: str, keys: frozenset[str] = frozenset()
) -> bool:
    """Returns whether every edge answers with this generation, several times in a row.

    Two edges share the port and the kernel chooses one for each connection. `keys` are those of the edges that accept
    connections; if none are given they are looked up, after a first answer, because that takes longer than a request.
    """
    if _generation(host, preview_port)[0] != generation:
        return False
    keys = keys or accepting(host) or frozenset()
    if not keys:
        return False
    missing = dict.fromkeys(keys, ANSWERS_IN_A_ROW)
    for _ in range(REQUESTS_PER_EDGE * len(keys)):
        answered, key = _generation(host, preview_port)
        if answered != generation:
            return False
        missing[key] = missing.get(key, 0) - 1
        if all(left <= 0 for left in missing.values()):
            return True
    return False


def _generation(host: Host, preview_port: int) -> tuple[str, str]:
    """Returns the generation that an edge serves and the edge's key, both "" if none answers."""
    answer = host.fetch(preview_port, "/-/generation")
    generation, _, key = answer.body.decode().partition(" ") if answer.status == 200 else ("",) * 3
    return generation, key


def draining_workers(text: str) -> tuple[int, ...]:
    """Returns the ids of the workers that are shutting down, from the output of `stacks.edge_processes`."""
    found = (process for process in _parse_processes(text) if process.is_draining)
    return tuple(sorted(int(process.pid) for process in found))


def await_drained(host: Host, clock: Clock, *, deadline_s: float) -> bool:
    """Waits for the workers of any edge that are shutting down now. Returns whether they have ended in time.

    Raises VerifyError if they could not be listed until the deadline.
    """
    workers = _DrainingWorkers(host)
    if wait_until(workers.are_gone, clock, deadline_s=deadline_s, every_s=0.5):
        return True
    if workers.pids is None:
        problem = f"old workers of the edge can't be listed after {deadline_s:g} s"
        raise VerifyError(f"{host.name}: {problem}")
    return False


@dataclass(frozen=True)
class _Process:
    """One process of an edge."""

    key: str
    pid: str
    title: str

    @property
    def is_draining(self) -> bool:
        return "is shutting down" in self.title

    @property
    def serves(self) -> bool:
        return self.title.rstrip().endswith("worker process")


def _processes(host: Host) -> tuple[_Process, ...] | None:
    """Returns the processes of all edges, None if they can't be listed."""
    done = host.run(stacks.edge_processes())
    return _parse_processes(done.stdout) if done.code == 0 else None


def _parse_processes(text: str) -> tuple[_Process, ...]:
    lines = [line.split(None, 2) for line in text.splitlines()]
    return tuple(_Process(*words) for words in lines if len(words) == 3)


class _DrainingWorkers:
    """The workers that were shutting down when they were first listed; those that begin later don't count."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.pids: set[str] | None = None

    def are_gone(self) -> bool:
        """Returns whether all of them have ended; False if the processes can't be listed."""
        found = _processes(self._host)
        if found is None:
            return False
        draining = {process.pid for process in found if process.is_draining}
        if self.pids is None:
            self.pids = draining
        return not self.pids & draining
