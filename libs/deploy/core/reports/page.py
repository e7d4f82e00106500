"""The page model of a rollout's report: everything that the page shows, as text and charts.

`adapters/report_page` turns it into HTML.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from deploy.core.analysis.access_log import Origin
from deploy.core.analysis.samples import RequestStats
from deploy.core.analysis.stage import Stage
from deploy.core.analysis.verdict import Conclusion, RuleResult, Verdict
from deploy.core.reports.charts import Bar, Line, line_chart, timeline_chart
from deploy.core.reports.release_diff import Change, Commit
from deploy.core.reports.rollout_log import RolloutLog
from deploy.core.reports.traffic import INTERVAL_S, Moment, Traffic

_OUTCOMES = {
    Conclusion.PASS: "passed",
    Conclusion.FAIL: "failed",
    Conclusion.INCONCLUSIVE: "inconclusive",
}
_STAGES = {
    Stage.PREVIEW: "before any user",
    Stage.CANARY: "with a share of the users",
    Stage.USERS: "with all users",
}
_ORIGINS = {Origin.USERS: "users' requests", Origin.SYNTHETIC: "synthetic requests"}


@dataclass(frozen=True)
class Report:
    """What is known about one rollout; unknown facts are empty.

    `image_bytes` are the sizes of the old and the new image, 0 if unknown. `traffic` has the requests by release
    and origin, `replicas` rows of (host, replica, release, condition), `shots` screenshots as (name, data URL).
    """

    log: RolloutLog
    made_at: str
    tool_version: str
    image_bytes: tuple[int, int] = (0, 0)
    verdicts: tuple[tuple[Stage, Verdict], ...] = ()
    traffic: Traffic | None = None
    replicas: tuple[tuple[str, str, str, str], ...] = ()
    commits: tuple[Commit, ...] = ()
    changes: tuple[Change, ...] = ()
    replica_diff: tuple[str, ...] = ()
    shots: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RuleRow:
    """One rule of a verdict."""

    name: str
    outcome: Conclusion
    word: str
    text: str
    statistics: str


@dataclass(frozen=True)
class VerdictCard:
    """One verdict."""

    title: str
    outcome: Conclusion
    word: str
    note: str
    rules: tuple[RuleRow, ...]


@dataclass(frozen=True)
class TrafficKey:
    """A release in the legend of the charts; `kind` is "old", "new" or "other"."""

    release: str
    kind: str
    requests: int


@dataclass(frozen=True)
class Chart:
    """A chart as SVG."""

    title: str
    svg: str


@dataclass(frozen=True)
class TrafficGroup:
    """The charts of the requests of one origin."""

    title: str
    keys: tuple[TrafficKey, ...]
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class ReplicaChip:
    """A replica as it is now."""

    name: str
    condition: str
    healthy: bool


@dataclass(frozen=True)
class HostReplicas:
    """The replicas on one host."""

    name: str
    replicas: tuple[ReplicaChip, ...]


@dataclass(frozen=True)
class StepRow:
    """One step of the rollout."""

    start: str
    phase: str
    host: str
    name: str
    reason: str
    error: str
    duration: str


@dataclass(frozen=True)
class Page:
    """The report, section by section. `pipeline_url` is "" unless it is an http or https URL.

    `cause` is the whole error of the step that failed first: the application's exception, health check and log lines.
    """

    title: str
    service: str
    release: str
    outcome: str
    verb: str
    environment: str
    who: str
    begun: str
    previous: str
    pipeline_url: str
    why: str
    cause: str
    tiles: tuple[tuple[str, str], ...]
    verdicts: tuple[VerdictCard, ...]
    timeline: str
    traffic_note: str
    traffic: tuple[TrafficGroup, ...]
    commits: tuple[Commit, ...]
    changes: tuple[Change, ...]
    replica_diff: tuple[str, ...]
    hosts: tuple[HostReplicas, ...]
    shots: tuple[tuple[str, str], ...]
    steps: tuple[StepRow, ...]
    unchanged: str
    footer: str


def page_of(report: Report) -> Page:
    """Returns the page model of a report."""
    log = report.log
    traffic = _traffic(report)
    note = "As logged by the edges. Times are from the start of the rollout."
    if not traffic:
        note = "The edges have no log lines of that time: removed, or there were no requests."
    return Page(
        title=f"{log.service} {log.release}: {log.outcome}",
        service=log.service,
        release=log.release,
        outcome=log.outcome,
        verb=log.verb,
        environment=log.environment,
        who=log.who,
        begun=log.begun,
        previous=log.previous,
        pipeline_url=log.pipeline if log.pipeline.startswith(("http://", "https://")) else "",
        why=log.why,
        cause=log.cause,
        tiles=_tiles(report),
        verdicts=tuple(_card(stage, verdict) for stage, verdict in report.verdicts),
        timeline=_timeline(log),
        traffic_note=note,
        traffic=traffic,
        commits=report.commits,
        changes=report.changes,
        replica_diff=report.replica_diff,
        hosts=_hosts(report.replicas),
        shots=report.shots,
        steps=_steps(log),
        unchanged=_unchanged(report),
        footer=f"ship {report.tool_version} · {report.made_at}",
    )


def _unchanged(report: Report) -> str:
    """Returns what to say if there is neither a commit nor a setting to show."""
    log = report.log
    if log.changes is None:
        return "The version of the tool that rolled this out kept no record of what changed."
    if not log.images[0]:
        return "This was the first release: there was none to compare it with."
    return "Neither commits nor settings."


def _tiles(report: Report) -> tuple[tuple[str, str], ...]:
    log = report.log
    old, new = report.image_bytes
    # Hosts remove the image of a refused release; its digest still says which one it was.
    size = f"{new / 1e6:.1f} MB" if new else _short(log.images[1]) or "unknown"
    growth = f" ({(new - old) / 1e6:+.1f} MB)" if new and old else ""
    stats = _total((report.traffic or {}).get((log.release, Origin.USERS), ()))
    requests = f"{stats.requests:,}".replace(",", " ") if report.traffic else "unknown"
    return (
        ("duration", _duration(log.seconds)),
        ("hosts", str(len({span.host for span in log.spans}))),
        ("steps", str(len(log.spans))),
        ("image", size + growth),
        ("users' requests", requests),
        ("failed", f"{stats.error_share:.2%}" if stats.requests else "none"),
    )


def _short(image: str) -> str:
    return image.rpartition("@sha256:")[2][:12]


def _card(stage: Stage, verdict: Verdict) -> VerdictCard:
    basis = f", {_ORIGINS[verdict.basis]}" if verdict.basis else ""
    return VerdictCard(
        title=_STAGES[stage],
        outcome=verdict.outcome,
        word=_OUTCOMES[verdict.outcome],
        note=f"attempt {verdict.attempt}{basis}",
        rules=tuple(_rule(result) for result in verdict.results),
    )


def _rule(result: RuleResult) -> RuleRow:
    word = _OUTCOMES[result.outcome]
    return RuleRow(result.rule, result.outcome, word, result.text, result.statistics)


def _timeline(log: RolloutLog) -> str:
    bars = [
        Bar("phases", name, begun, ended, "phase", f"{name}: {ended - begun:.1f} s")
        for name, begun, ended in log.phases
    ]
    bars += [
        Bar(
            span.host,
            span.step,
            span.begun_s,
            span.begun_s + span.seconds,
            "failed" if span.error else "step",
            f"{span.line}: {span.seconds:.1f} s{' — ' + span.error if span.error else ''}",
        )
        for span in log.spans
    ]
    return timeline_chart(bars, log.seconds)


def _kind(log: RolloutLog, release: str) -> str:
    return {log.previous: "old", log.release: "new"}.get(release, "other")


def _traffic(report: Report) -> tuple[TrafficGroup, ...]:
    """Returns a group of charts for each origin that sent requests. All have the same times."""
    traffic = report.traffic or {}
    times = [at for moments in traffic.values() for at, _ in moments]
    if not times:
        return ()
    span = (min(times), max(*times, report.log.seconds))
    groups = []
    for origin, title in _ORIGINS.items():
        of_origin = {
            release: moments for (release, sender), moments in traffic.items() if sender is origin
        }
        keys = tuple(
            TrafficKey(release, _kind(report.log, release), _total(moments).requests)
            for release, moments in of_origin.items()
        )
        charts = _charts(report.log, of_origin, span) if of_origin else ()
        groups.append(TrafficGroup(title[0].upper() + title[1:], keys, charts))
    return tuple(groups)


def _charts(
    log: RolloutLog, traffic: Mapping[str, Sequence[Moment]], span: tuple[float, float]
) -> tuple[Chart, ...]:
    """Returns the charts of requests, errors and latencies."""
    marks = {
        name: begun
        for name, begun, _ in log.phases
        if name.startswith("switch") or name == "canary"
    }
    reverts = [begun for name, begun, _ in log.phases if name.startswith(("way back", "revert"))]
    marks |= {"reverted": reverts[0]} if reverts else {}

    def chart(
        title: str,
        value: Callable[[RequestStats], float],
        *,
        area: bool = False,
        most: float = math.inf,
    ) -> Chart:
        series = [
            Line(release, _kind(log, release), _points(moments, value))
            for release, moments in traffic.items()
        ]
        svg = line_chart(
            series, span, unit=title, marks=marks, area=area, gap_s=1.5 * INTERVAL_S, most=most
        )
        return Chart(title, svg)

    return (
        chart("requests a second", lambda stats: stats.requests / INTERVAL_S, area=True),
        chart("errors, %", lambda stats: 100 * stats.error_share, most=100),
        chart("median, ms", lambda stats: 1000 * stats.quantile_s(0.5)),
        chart("95th percentile, ms", lambda stats: 1000 * stats.quantile_s(0.95)),
    )


def _points(
    moments: Sequence[Moment], value: Callable[[RequestStats], float]
) -> list[tuple[float, float]]:
    return [(at, value(stats)) for at, stats in moments if stats.requests]


def _hosts(replicas: Sequence[tuple[str, str, str, str]]) -> tuple[HostReplicas, ...]:
    return tuple(
        HostReplicas(
            host,
            tuple(
                ReplicaChip(name, condition, condition in ("healthy", "running"))
                for _, name, _, condition in rows
            ),
        )
        for host, rows in groupby(replicas, key=lambda row: row[0])
    )


def _steps(log: RolloutLog) -> tuple[StepRow, ...]:
    return tuple(
        StepRow(
            start=f"{span.begun_s:.1f} s",
            phase=span.phase,
            host=span.host,
            name=span.step,
            reason=span.because,
            error=span.error,
            duration=f"{span.seconds:.1f} s",
        )
        for span in log.spans
    )


def _total(moments: Sequence[Moment]) -> RequestStats:
    return sum((stats for _, stats in moments), RequestStats())


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
