"""Watches a live release: its replicas must keep running and its users' requests must not fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from deploy.core.analysis.access_log import Origin
from deploy.core.analysis.evidence import combine
from deploy.core.analysis.verdict import Conclusion, RuleResult, Verdict
from deploy.core.analysis.watch import evaluate_watch
from deploy.core.commands import docker
from deploy.core.commands.snapshot import inspected_documents
from deploy.core.config import Service
from deploy.core.planning.steps import WatchRelease
from deploy.core.ports import Clock, Host
from deploy.core.state.release import Release
from deploy.errors import CommandError, ReleaseRefusedError, UnhealthyError
from deploy.run.hosts.fanout import MOST_HOSTS
from deploy.run.hosts.observe import observe
from deploy.run.steps.diagnosis import diagnosis, with_details
from deploy.run.steps.request_counts import count_since, host_time

INTERVAL_S = 1.0
UNREADY_CHECKS = 3
"""How many checks in a row a replica may report that it isn't ready: it may wait for a database for a moment."""

SHORTEST_PAUSE_S = 0.05
"""A pause close to zero might not advance the clock at all."""


@dataclass
class _Replicas:
    """Counts how often each replica has ended; one more end than before the watch fails the release.

    So does a replica that keeps answering that it isn't ready. One that gives no answer is busy, which isn't a fault:
    whether it lives is for the engine's check to tell. `fresh` replicas were started by this rollout, so any end
    counts, also one between the health check and the watch.
    """

    host: Host
    release: Release
    fresh: bool
    health_path: str
    ended: dict[str, int] = field(default_factory=dict)
    unready: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """Raises UnhealthyError, with its last log lines, for a replica that ended or became unhealthy or unready."""
        done = self.host.run(docker.inspect(self.release.names))
        try:
            found = inspected_documents(done.stdout)
        except ValueError as error:
            raise CommandError(
                f"{self.host.name}: what docker inspect prints can't be read: {error}"
            ) from error
        for container in found:
            name, state = container["Name"].lstrip("/"), container["State"]
            restarts = container.get("RestartCount", 0)
            before = self.ended.setdefault(name, 0 if self.fresh else restarts)
            if restarts > before or _has_ended(state):
                raise UnhealthyError(diagnosis(self.host, name, "ended while it was watched"))
            if (state.get("Health") or {}).get("Status") == "unhealthy":
                raise UnhealthyError(diagnosis(self.host, name, "became unhealthy"))
        self._check_ready()

    def _check_ready(self) -> None:
        release = self.release
        for name, address in zip(release.names, release.addresses, strict=True):
            answer = self.host.fetch(release.port, self.health_path, address=address)
            refuses = answer.status not in (0, 200)
            self.unready[name] = self.unready[name] + 1 if refuses else 0
            if self.unready[name] >= UNREADY_CHECKS:
                what = f"is no longer ready: {self.health_path} answers {answer.status}"
                raise UnhealthyError(diagnosis(self.host, name, what))


def _has_ended(state: Mapping[str, Any]) -> bool:
    return state.get("Status") in ("exited", "dead", "restarting") or bool(state.get("OOMKilled"))


def watch(
    host: Host, clock: Clock, service: Service, step: WatchRelease, *, fresh: bool = True
) -> RuleResult:
    """Watches for `step.watch_s`; returns the last result. `fresh`: this rollout started the release.

    Raises UnhealthyError as soon as a replica ended, ReleaseRefusedError as soon as too many users' requests failed.
    Without requests the result is inconclusive, which is no reason to revert: the analysis that follows sends its own.
    """
    begun, since = clock.monotonic(), host_time(host)
    replicas = _Replicas(host, step.release, fresh, service.health.path)
    while True:
        replicas.check()
        passed_s = clock.monotonic() - begun
        counts = combine({host.name: count_since(host, since)}, step.release, None)
        users = counts.new[Origin.USERS].total
        result = evaluate_watch(host.name, users, service.rollout.max_error_share, passed_s)
        if result.outcome is Conclusion.FAIL:
            reason = f"{step.release.id} failed: {result.text}"
            raise ReleaseRefusedError(
                with_details(reason, host, step.release.names),
                verdict=Verdict((result,), basis=Origin.USERS),
            )
        if passed_s >= step.watch_s:
            return result
        clock.sleep(min(INTERVAL_S, max(step.watch_s - passed_s, SHORTEST_PAUSE_S)))


def watch_live(service: Service, hosts: Sequence[Host], clock: Clock) -> tuple[str, Verdict]:
    """Watches the live release on all hosts for the service's `watch_s`; returns its id and the verdict.

    The verdict is "pass" only if every host had requests of users, else "inconclusive".

    Raises UsageError unless the same release is live on all hosts, and what `watch` raises.
    """
    release = observe(hosts).live_release(service.name)

    def one(host: Host) -> RuleResult:
        step = WatchRelease(host.name, release, service.rollout.watch_s, "requested")
        return watch(host, clock, service, step, fresh=False)

    with ThreadPoolExecutor(max_workers=MOST_HOSTS) as pool:
        results = tuple(pool.map(one, hosts))
    return release.id, Verdict(results, basis=Origin.USERS)
