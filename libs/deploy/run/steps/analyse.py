"""Gathers what a verdict rests on and looks until the gate is sure; never takes a release back itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from deploy.core.analysis.access_log import MARK, SYNTHETIC
from deploy.core.analysis.evidence import (
    Counts,
    Requests,
    requests_of,
)
from deploy.core.analysis.metric_checks import (
    query_of,
    read,
    unread,
)
from deploy.core.analysis.verdict import (
    Finding,
    Verdict,
    conduct,
    judge,
)
from deploy.core.config import Condition, Service
from deploy.core.ports import Clock, Host, MetricsQuery
from deploy.core.state.release import Release
from deploy.errors import GateError, MetricsError
from deploy.run.hosts.waiting import wait_until
from deploy.run.steps.replicas import with_last_words
from deploy.run.steps.request_counts import count_since, host_time
from deploy.run.steps.synthetic import (
    Course,
    send,
    warm_up,
)

WRITTEN_WITHIN_S = 3.0
"""How long a request may take from its answer to a line in the log."""


@dataclass(frozen=True)
class Comparison:
    """What is judged: `release` against `previous`, on all these hosts. `watch_s` are waited before the first look.

    `before_switch`: no user or only a share of them has met it. `conditions`: the service's own are asked too.
    """

    hosts: Sequence[Host]
    service: Service
    release: Release
    previous: Release | None
    preview_port: int
    before_switch: bool
    watch_s: float = 0.0
    conditions: bool = True


@dataclass(frozen=True)
class AnalysisContext:
    """Who a judge works with: the environment's Prometheus (None: it has none), a clock, who hears and records."""

    metrics: MetricsQuery | None
    clock: Clock
    say: Callable[[str], None]
    record: Callable[[Verdict], None] = lambda verdict: None


def judge_release(case: Comparison, bench: AnalysisContext) -> Verdict:
    """Looks at most as often as the gate says; returns the verdict that let the release go on.

    Raises GateError, with the verdict, for a release that is refused or to be held.
    """
    return _Session(case, bench).run()


class _Session:
    def __init__(self, case: Comparison, bench: AnalysisContext) -> None:
        self._case = case
        self._bench = bench
        self._warm = False
        gate = case.service.gate
        now = {host.name: host_time(host) for host in case.hosts}
        self._since = {name: begun - gate.baseline_s for name, begun in now.items()}
        # Both sides' synthetic requests are of this moment: what an earlier verdict sent met another load.
        self._mark = f"{MARK}{int(next(iter(now.values())) * 1000):x}-"

    def run(self) -> Verdict:
        case, clock, gate = self._case, self._bench.clock, self._case.service.gate
        pause_s = case.watch_s
        for look in range(1, gate.looks + 1):
            if pause_s:
                clock.sleep(pause_s)
            pause_s = gate.extend_s
            verdict = self._look(look)
            for line in verdict.lines():
                self._bench.say(line)
            follows = conduct(verdict, gate, before_switch=case.before_switch)
            if follows != "look again":
                self._bench.record(verdict)
            match follows:
                case "go on":
                    return verdict
                case "look again":
                    continue
                case what:
                    raise self._refusal(verdict, holds=what == "hold")
        raise AssertionError("the last look has no next one")

    def _refusal(self, verdict: Verdict, *, holds: bool) -> GateError:
        """A release that goes tells its last words; one that is held can be asked."""
        case = self._case
        reason = f"the gate refuses {case.release.id}: {verdict.why}"
        if not holds:
            reason = with_last_words(reason, case.hosts[0], case.release.names)
        hint = f"./ship report {case.service.name} {case.release.id} shows the evidence"
        return GateError(reason, verdict=verdict, holds=holds, hint=hint)

    def _look(self, look: int) -> Verdict:
        case, gate = self._case, self._case.service.gate
        requests = self._topped_up(self._count(), gate.min_requests * look)
        evidence = requests.evidence(gate.min_requests, self._readings())
        return judge(evidence, gate, case.service.rollout.max_error_share, look)

    def _topped_up(self, requests: Requests, wanted: int) -> Requests:
        """Where users are too few, sends both sides what is lacking, and waits until the edges wrote it down."""
        case, clock = self._case, self._bench.clock
        if (
            requests.basis(case.service.gate.min_requests) != SYNTHETIC
            or not case.service.gate.paths
        ):
            return requests
        new, old = requests.lacking(wanted)
        course = Course(case.hosts, case.service.gate.paths, case.preview_port, self._mark)
        sides = [(case.release, new), *([(case.previous, old)] if case.previous else [])]
        if not new + old:
            return requests
        self._bench.say(
            f"users' requests are too few: {new} + {old} GETs are sent to both releases"
        )
        if not self._warm:
            warm_up(course, case.release, clock)
            self._warm = True
        send(course, sides, clock)
        seen = requests

        def written() -> bool:
            nonlocal seen
            seen = self._count()
            return seen.lacking(wanted) == (0, 0)

        wait_until(written, clock, deadline_s=WRITTEN_WITHIN_S, every_s=0.2)
        return seen

    def _count(self) -> Requests:
        with ThreadPoolExecutor(max_workers=16) as pool:
            counts: Mapping[str, Counts] = dict(pool.map(self._count_of, self._case.hosts))
        return requests_of(counts, self._case.release, self._case.previous)

    def _count_of(self, host: Host) -> tuple[str, Counts]:
        return host.name, count_since(host, self._since[host.name], self._mark)

    def _readings(self) -> tuple[Finding, ...]:
        conditions = self._case.service.gate.conditions if self._case.conditions else ()
        return tuple(self._read(each) for each in conditions)

    def _read(self, condition: Condition) -> Finding:
        case, metrics = self._case, self._bench.metrics
        if metrics is None:
            return unread(condition, "the environment has no Prometheus")
        query = query_of(
            condition,
            service=case.service.name,
            release=case.release.id,
            previous=case.previous.id if case.previous else "",
        )
        try:
            return read(condition, metrics.query(query))
        except MetricsError as error:
            return unread(condition, error.message)
