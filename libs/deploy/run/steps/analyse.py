"""Analyses a release in up to `gate.looks` attempts: collects evidence, evaluates it, decides what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import assert_never

from deploy.core.analysis.access_log import SYNTHETIC_PREFIX, Counts, Origin
from deploy.core.analysis.evidence import FleetCounts, combine
from deploy.core.analysis.metric_checks import check, inconclusive, render_query
from deploy.core.analysis.stage import Stage
from deploy.core.analysis.verdict import Decision, RuleResult, Verdict, decide, evaluate
from deploy.core.config import Condition, Service
from deploy.core.ports import Clock, Host, MetricsQuery
from deploy.core.state.release import Release
from deploy.errors import MetricsError, ReleaseRefusedError
from deploy.run.hosts.fanout import MOST_HOSTS
from deploy.run.hosts.waiting import wait_until
from deploy.run.steps.diagnosis import with_details
from deploy.run.steps.request_counts import count_since, host_time
from deploy.run.steps.synthetic import SyntheticRequests, send, warm_up

LOGGED_WITHIN_S = 3.0
"""How long it may take from an answer to its line in the access log."""


@dataclass(frozen=True)
class AnalysisScope:
    """What to analyse: `release` against `previous` (None: there is none) on these hosts.

    The first attempt starts after `watch_s`.
    """

    hosts: Sequence[Host]
    service: Service
    release: Release
    previous: Release | None
    preview_port: int
    stage: Stage
    watch_s: float = 0.0


@dataclass(frozen=True)
class AnalysisContext:
    """The ports of an analysis: Prometheus (None: the environment has none), a clock, messages, the record.

    `detail` gets what only those want who check a verdict.
    """

    metrics: MetricsQuery | None
    clock: Clock
    say: Callable[[str], None]
    record: Callable[[Verdict], None] = lambda verdict: None
    detail: Callable[[str], None] = lambda text: None


def analyse_release(scope: AnalysisScope, context: AnalysisContext) -> Verdict:
    """Returns the verdict with which the rollout may proceed, and records the last verdict in any case.

    Raises ReleaseRefusedError, with the verdict, if the release must be reverted or held.
    """
    return _Analysis(scope, context).run()


class _Analysis:
    def __init__(self, scope: AnalysisScope, context: AnalysisContext) -> None:
        self._scope = scope
        self._context = context
        self._gate = scope.service.gate
        self._warm = False
        now = {host.name: host_time(host) for host in scope.hosts}
        self._since = {name: begun - self._gate.baseline_s for name, begun in now.items()}
        # Only this analysis' synthetic requests count: those of an earlier one ran under another load.
        self._prefix = f"{SYNTHETIC_PREFIX}{int(next(iter(now.values())) * 1000):x}-"

    def run(self) -> Verdict:
        pause_s = self._scope.watch_s
        for attempt in range(1, self._gate.looks + 1):
            if pause_s:
                self._context.clock.sleep(pause_s)
            pause_s = self._gate.extend_s
            verdict = self._evaluate(attempt)
            for line in verdict.lines():
                self._context.say(line)
            for line in verdict.statistics():
                self._context.detail(line)
            before_switch = self._scope.stage is not Stage.USERS
            decision = decide(verdict, self._gate, before_switch=before_switch)
            if decision is Decision.TRY_AGAIN:
                continue
            self._context.record(verdict)
            match decision:
                case Decision.PROCEED:
                    return verdict
                case Decision.HOLD:
                    raise self._refusal(verdict, hold=True)
                case Decision.REVERT:
                    raise self._refusal(verdict, hold=False)
                case _:
                    assert_never(decision)
        raise AssertionError("the last attempt asks for another one")

    def _refusal(self, verdict: Verdict, *, hold: bool) -> ReleaseRefusedError:
        """Adds a replica's last log lines unless the release is held: then its replicas still run."""
        scope = self._scope
        reason = f"the release gate refused {scope.release.id}: {verdict.why}"
        if not hold:
            reason = with_details(reason, scope.hosts[0], scope.release.names)
        hint = f"./ship report {scope.service.name} {scope.release.id} shows the evidence"
        return ReleaseRefusedError(reason, verdict=verdict, holds=hold, hint=hint)

    def _evaluate(self, attempt: int) -> Verdict:
        requests = self._topped_up(self._count(), self._gate.min_requests * attempt)
        evidence = requests.evidence(self._gate.min_requests, self._check_conditions())
        return evaluate(evidence, self._gate, self._scope.service.rollout.max_error_share, attempt)

    def _topped_up(self, counts: FleetCounts, needed: int) -> FleetCounts:
        """Sends synthetic requests if users sent too few; returns the counts once the edges have logged them."""
        scope, clock = self._scope, self._context.clock
        if counts.basis(self._gate.min_requests) is Origin.USERS or not self._gate.paths:
            return counts
        new, old = counts.missing(needed)
        if not new + old:
            return counts
        requests = SyntheticRequests(
            scope.hosts, self._gate.paths, scope.preview_port, self._prefix
        )
        releases = [(scope.release, new), *([(scope.previous, old)] if scope.previous else [])]
        sent = " and ".join(f"{count} to {release.id}" for release, count in releases if count)
        self._context.say(f"too few user requests: sending {sent}")
        if not self._warm:
            warm_up(requests, scope.release, clock)
            self._warm = True
        send(requests, releases, clock)

        def logged() -> bool:
            nonlocal counts
            counts = self._count()
            return counts.missing(needed) == (0, 0)

        wait_until(logged, clock, deadline_s=LOGGED_WITHIN_S, every_s=0.2)
        return counts

    def _count(self) -> FleetCounts:
        with ThreadPoolExecutor(max_workers=MOST_HOSTS) as pool:
            counts = dict(pool.map(self._count_on, self._scope.hosts))
        return combine(counts, self._scope.release, self._scope.previous)

    def _count_on(self, host: Host) -> tuple[str, Counts]:
        return host.name, count_since(host, self._since[host.name], self._prefix)

    def _check_conditions(self) -> tuple[RuleResult, ...]:
        """Evaluates the service's own conditions, which only make sense once users send requests."""
        if self._scope.stage is Stage.PREVIEW:
            return ()
        return tuple(self._check(condition) for condition in self._gate.conditions)

    def _check(self, condition: Condition) -> RuleResult:
        scope, metrics = self._scope, self._context.metrics
        if metrics is None:
            return inconclusive(condition, "the environment has no Prometheus")
        query = render_query(
            condition,
            service=scope.service.name,
            release=scope.release.id,
            previous=scope.previous.id if scope.previous else None,
        )
        try:
            return check(condition, metrics.query(query))
        except MetricsError as error:
            return inconclusive(condition, error.message)
