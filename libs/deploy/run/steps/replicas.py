"""Starts replicas and waits until they are healthy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.core.commands import docker
from deploy.core.commands.snapshot import container_of, inspected_documents
from deploy.core.contract import SILENT_AFTER_S
from deploy.core.planning.steps import AwaitHealthy
from deploy.core.ports import Clock, Completed, Host
from deploy.core.state.host import Container
from deploy.core.state.release import Release
from deploy.errors import CommandError, UnhealthyError, VerifyError
from deploy.run.hosts.locked_host import LockedHost, last_line
from deploy.run.hosts.waiting import wait_until
from deploy.run.steps.contract import ContractCheck
from deploy.run.steps.diagnosis import diagnosis

STARTING_EVERY_S, ANSWERING_EVERY_S = 1.0, 0.25
"""How often replicas are inspected while one doesn't answer yet, and once all do."""


@dataclass
class _Progress:
    """How far replicas are: their last inspection, and since when all of them answer.

    A request to a replica takes milliseconds; an inspection starts the engine's client and takes CPU time that the
    replicas need to start. `silent` is the replica that answered nothing last. `restarts` are each container's at the
    first inspection. Only later ones count as a crash: a live replica may have restarted once, weeks ago.
    """

    host: Host
    clock: Clock
    step: AwaitHealthy
    begun: float
    contract: ContractCheck
    replicas: tuple[Container, ...] = ()
    inspect_at: float = 0.0
    answering_since: float | None = None
    silent: str | None = None
    restarts: dict[str, int] = field(default_factory=dict)
    once_ready: set[str] = field(default_factory=set)

    def steady(self) -> bool:
        """Returns whether all replicas have answered for long enough, and the engine reports them as healthy."""
        now = self.clock.monotonic()
        if not self._all_answer():
            self.answering_since = None
            if now >= self.inspect_at:
                self.inspect(STARTING_EVERY_S)
            return False
        if self.answering_since is None:
            self.answering_since = now
        if now - self.answering_since < self.step.min_healthy_s or now < self.inspect_at:
            return False
        self.inspect(ANSWERING_EVERY_S)
        return {replica.name for replica in self.replicas if self._is_ready(replica)} >= set(
            self.step.release.names
        )

    def inspect(self, again_after_s: float) -> None:
        """Inspects the replicas once. Raises UnhealthyError for one that crashed or didn't become healthy in time."""
        names = self.step.release.names
        done = self.host.run(docker.inspect(names))
        self.inspect_at = self.clock.monotonic() + again_after_s
        try:
            documents = inspected_documents(done.stdout)
            self.replicas = tuple(map(container_of, documents))
        except ValueError as error:
            raise CommandError(
                f"{self.host.name}: what docker inspect prints can't be read: {error}"
            ) from error
        for container in self.replicas:
            before = self.restarts.setdefault(container.id, container.restarts)
            if container.restarts > before or container.state in ("exited", "dead"):
                raise UnhealthyError(diagnosis(self.host, container.name, "keeps crashing"))
        for document in documents:
            self._check_contract(document)
        self.once_ready |= {replica.name for replica in self.replicas if self._is_ready(replica)}
        self._refuse_late(names)

    def _check_contract(self, document: dict[str, Any]) -> None:
        if self.step.engine_check:
            self.contract.on_engine_check(document)
        is_silent = document["Name"].lstrip("/") == self.silent
        if is_silent and self.clock.monotonic() - self.begun >= SILENT_AFTER_S:
            self.contract.on_silence(document)

    def _is_ready(self, replica: Container) -> bool:
        """Returns whether a replica is healthy. Without `engine_check` one that answers and runs is, too."""
        answers = self.answering_since is not None and not self.step.engine_check
        return replica.ready or (answers and replica.condition == "starting")

    def _all_answer(self) -> bool:
        """Requests the health path from each replica, until one doesn't answer with 200."""
        release, path = self.step.release, self.step.health_path
        for name, address in zip(release.names, release.addresses, strict=True):
            answer = self.host.fetch(release.port, path, address=address)
            self.contract.on_answer(name, answer)
            self.silent = None if answer.status else name
            if answer.status != 200:
                return False
        return True

    def _refuse_late(self, names: Sequence[str]) -> None:
        limit_s = self.step.startup_deadline_s
        late = next((name for name in names if name not in self.once_ready), None)
        if late is not None and self.clock.monotonic() - self.begun >= limit_s:
            raise UnhealthyError(
                diagnosis(
                    self.host, late, f"did not become healthy within {limit_s:g} s of its start"
                )
            )


def start(locked: LockedHost, release: Release) -> None:
    """Starts a release's replicas with few CPU shares. Raises VerifyError with compose's message for refused files."""
    done = locked.run(
        docker.start_replicas(release),
        f"starting {release.project}",
        stdin=docker.starting_shares(release).encode(),
        timeout_s=120,
    )
    if done.code == docker.FILES_REFUSED:
        raise _files_refused(locked.host, release, done)
    if done.code != 0:
        raise CommandError(
            f"{locked.name}: starting {release.project} failed ({done.code}): {last_line(done)}",
            stderr=done.stderr[-4000:],
        )


def check_files(host: Host, release: Release) -> None:
    """Lets compose check a release's files before anything of it starts. Raises VerifyError with compose's message."""
    done = host.run(docker.check_compose(release))
    if done.code != 0:
        raise _files_refused(host, release, done)


def _files_refused(host: Host, release: Release, done: Completed) -> VerifyError:
    return VerifyError(
        f"{host.name}: compose refused the files of {release.id}, nothing of it was started: {last_line(done)}",
        hint="correct deploy/replica.yml or the service's settings",
    )


def await_healthy(locked: LockedHost, clock: Clock, step: AwaitHealthy) -> None:
    """Waits until the step's replicas are healthy, then gives them full CPU shares, because users reach them next.

    Raises UnhealthyError with the last log lines of one that isn't healthy in time, or that can't become so.
    """
    host = locked.host
    contract = ContractCheck(host, clock, step.release, step.health_path)
    progress = _Progress(host, clock, step, clock.monotonic(), contract)
    if wait_until(progress.steady, clock, deadline_s=step.deadline_s, every_s=0.1):
        if step.engine_check:
            contract.require_version()
        what = f"giving {step.release.project} full CPU shares"
        locked.run_checked(docker.share_fully(step.release.names), what)
        return
    ready = {replica.name for replica in progress.replicas if replica.ready}
    late = next((name for name in step.release.names if name not in ready), step.release.names[0])
    raise UnhealthyError(diagnosis(host, late, f"is not healthy after {step.deadline_s:g} s"))
