"""Waits for replicas to be healthy and says why they aren't; never starts or stops one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.core.commands import docker
from deploy.core.commands.snapshot import container_of
from deploy.core.planning.steps import AwaitHealthy
from deploy.core.ports import Clock, Host
from deploy.core.state.host import Container
from deploy.core.state.release import Release
from deploy.errors import ShipError, UnhealthyError, VerifyError
from deploy.run.hosts.locked_host import last_line
from deploy.run.hosts.waiting import wait_until


@dataclass
class _Watch:
    """What the last look saw, how often each had restarted at the first, since when all are ready.

    A restart from before counts for nothing: a live replica may have ended once, weeks ago.
    """

    host: Host
    clock: Clock
    step: AwaitHealthy
    begun: float
    seen: tuple[Container, ...] = ()
    ready_since: float | None = None
    restarts: dict[str, int] = field(default_factory=dict)
    once_ready: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Looks once. Raises UnhealthyError for a replica that can't become healthy, or didn't in time."""
        names = self.step.release.names
        done = self.host.run(docker.inspect(names))
        inspected: list[dict[str, Any]] = json.loads(done.stdout or "[]")
        self.seen = tuple(container_of(each) for each in inspected)
        for container in self.seen:
            before = self.restarts.setdefault(container.id, container.restarts)
            if container.restarts > before or container.state in ("exited", "dead"):
                raise UnhealthyError(diagnosis(self.host, container.name, "ends again and again"))
        self.once_ready |= {each.name for each in self.seen if each.ready}
        self._refuse_late(names)
        all_ready = len(self.seen) == len(names) and all(each.ready for each in self.seen)
        if not all_ready:
            self.ready_since = None
        elif self.ready_since is None:
            self.ready_since = self.clock.monotonic()

    def _refuse_late(self, names: Sequence[str]) -> None:
        limit_s = self.step.startup_deadline_s
        late = next((name for name in names if name not in self.once_ready), None)
        if late is not None and self.clock.monotonic() - self.begun >= limit_s:
            raise UnhealthyError(
                diagnosis(self.host, late, f"was never healthy in {limit_s:g} s after its start")
            )

    def steady(self) -> bool:
        """Looks, and returns whether all have been ready for long enough."""
        self.look()
        return (
            self.ready_since is not None
            and self.clock.monotonic() - self.ready_since >= self.step.min_healthy_s
        )


def judge_files(host: Host, release: Release) -> None:
    """Lets compose read a release's files before anything of it starts. Raises VerifyError with what it says."""
    done = host.run(docker.check_compose(release))
    if done.code != 0:
        raise VerifyError(
            f"{host.name}: compose refuses the files of {release.id}, nothing of it was started: {last_line(done)}"
        )


def await_healthy(host: Host, clock: Clock, step: AwaitHealthy) -> None:
    """Waits as the step says. Raises UnhealthyError with the replica's last words."""
    watch = _Watch(host, clock, step, clock.monotonic())
    if wait_until(watch.steady, clock, deadline_s=step.deadline_s):
        return
    ready = {each.name for each in watch.seen if each.ready}
    late = next((name for name in step.release.names if name not in ready), step.release.names[0])
    raise UnhealthyError(diagnosis(host, late, f"is not healthy after {step.deadline_s:g} s"))


def diagnosis(host: Host, container: str, what: str) -> str:
    """Says what is wrong with a replica, with its health check's output, exit code and last log lines."""
    return "\n  ".join([f"{host.name}: {container} {what}", *_last_words(host, container)])


def with_last_words(reason: str, host: Host, names: Sequence[str]) -> str:
    """Adds to a reason what one of these replicas said last, one that isn't ready before the others.

    Where that can't be told the reason stands alone: it is what counts.
    """
    try:
        done = host.run(docker.inspect(names))
        found = [container_of(each) for each in json.loads(done.stdout or "[]")]
        container = min(found, key=lambda each: (each.ready, -each.restarts), default=None)
        if container is None:
            return reason
        words = _last_words(host, container.name)
    except ShipError:
        return reason
    return "\n  ".join([reason, f"{host.name}: {container.name} is {container.condition}", *words])


def _last_words(host: Host, container: str) -> list[str]:
    lines = []
    inspected = json.loads(host.run(docker.inspect([container])).stdout or "[]")
    if inspected:
        state = inspected[0]["State"]
        if state.get("OOMKilled"):
            lines.append("it was killed for using more memory than it may (OOM)")
        elif state.get("ExitCode"):
            lines.append(f"its last exit code is {state['ExitCode']}")
        checks = (state.get("Health") or {}).get("Log") or []
        if checks and checks[-1].get("Output", "").strip():
            lines.append(f"health check: {checks[-1]['Output'].strip().splitlines()[-1]}")
    said = host.run(docker.logs(container, tail=10))
    words = [line for line in (said.stdout + said.stderr).splitlines() if line.strip()]
    return [*lines, *(f"log: {line[:300]}" for line in words[-10:])]
