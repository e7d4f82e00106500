"""Watches a live release for a while and judges it; never takes it back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from deploy.core.commands import docker
from deploy.core.config import Service
from deploy.core.planning.steps import WatchRelease
from deploy.core.ports import Clock, Host, Judge, Verdict
from deploy.core.state.release import Release
from deploy.errors import CommandError, JudgedError, UnhealthyError
from deploy.run.hosts.locked_host import last_line
from deploy.run.hosts.observe import observe
from deploy.run.steps.replicas import diagnosis, with_last_words

LOOK_EVERY_S = 1.0
SHORTEST_PAUSE_S = 0.05
"""A rest of the time that is next to nothing may not move the clock at all."""
FEWEST_FAILURES = 2
"""One failed answer may be chance, whatever its share of the few that came."""


@dataclass(frozen=True)
class EdgeJudge:
    """Judges by the share of the edge's answers for this release that failed (5xx), from its access log."""

    def judge(self, host: Host, service: Service, release: Release, since_s: float) -> Verdict:
        """Counts what was answered; of nothing, nothing is said. Raises CommandError for a log that can't be read."""
        done = host.run(docker.count_answers(release.id, since_s))
        if done.code != 0:
            raise CommandError(f"{host.name}: the edge's log can't be read: {last_line(done)}")
        total, failed = (int(each) for each in done.stdout.split())
        if not total:
            told = f"{host.name}: no request in {since_s:.0f} s, so that nothing can be said"
            return Verdict("inconclusive", (told,))
        most, share = service.rollout.max_error_share, failed / total
        told = f"{host.name}: {failed} of {total} answers failed in {since_s:.0f} s ({share:.1%}, at most {most:.1%})"
        bad = failed >= FEWEST_FAILURES and share > most
        return Verdict("fail" if bad else "pass", (told,))


@dataclass
class _Replicas:
    """How often each replica has ended; once more than it had fails the release.

    What one that is `fresh` had is none: it may have ended between its health check and the first look.
    """

    host: Host
    release: Release
    fresh: bool
    ended: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Looks once. Raises UnhealthyError for a replica that ended, with its last words."""
        done = self.host.run(docker.inspect(self.release.names))
        found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
        for each in found:
            name, state = each["Name"].lstrip("/"), each["State"]
            restarts = each.get("RestartCount", 0)
            before = self.ended.setdefault(name, 0 if self.fresh else restarts)
            if restarts > before or _is_over(state):
                raise UnhealthyError(diagnosis(self.host, name, "ended while it was watched"))
            if (state.get("Health") or {}).get("Status") == "unhealthy":
                raise UnhealthyError(diagnosis(self.host, name, "became unhealthy"))


def _is_over(state: Mapping[str, Any]) -> bool:
    return state.get("Status") in ("exited", "dead", "restarting") or bool(state.get("OOMKilled"))


def watch(
    host: Host,
    clock: Clock,
    judge: Judge,
    service: Service,
    step: WatchRelease,
    *,
    fresh: bool = True,
) -> Verdict:
    """Watches as the step says; returns the last verdict. `fresh` says that the release was started for this.

    Raises UnhealthyError for a replica that ended and JudgedError for a release that the judge refuses, both as soon
    as it shows and with a replica's last words. An inconclusive end is no reason to take anything back: the gate, not
    this, asks for enough requests.
    """
    begun, replicas = clock.monotonic(), _Replicas(host, step.release, fresh)
    while True:
        replicas.look()
        passed_s = clock.monotonic() - begun
        verdict = judge.judge(host, service, step.release, passed_s)
        if verdict.outcome == "fail":
            reason = f"{step.release.id} fails: {'; '.join(verdict.evidence)}"
            raise JudgedError(with_last_words(reason, host, step.release.names))
        if passed_s >= step.watch_s:
            return verdict
        clock.sleep(min(LOOK_EVERY_S, max(step.watch_s - passed_s, SHORTEST_PAUSE_S)))


def watch_live(
    service: Service, hosts: Sequence[Host], clock: Clock, judge: Judge
) -> tuple[str, Verdict]:
    """Watches the live release on all hosts for the service's `watch_s`; returns its id and the last verdicts.

    It passes only where every host has answers to show: one that nobody asked makes it inconclusive.

    Raises UsageError where not one release is live everywhere, and what `watch` raises.
    """
    release = observe(hosts).live_release(service.name)

    def one(host: Host) -> Verdict:
        step = WatchRelease(host.name, release, service.rollout.watch_s, "it was asked for")
        return watch(host, clock, judge, service, step, fresh=False)

    with ThreadPoolExecutor(max_workers=16) as pool:
        verdicts = list(pool.map(one, hosts))
    sure = all(verdict.outcome == "pass" for verdict in verdicts)
    evidence = tuple(line for verdict in verdicts for line in verdict.evidence)
    return release.id, Verdict("pass" if sure else "inconclusive", evidence)
