"""One page about one deploy: HTML that needs nothing beside itself; never asks anybody for anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from deploy.core.analysis.samples import RequestStats
from deploy.core.analysis.verdict import Verdict
from deploy.core.reports.charts import (
    Bar,
    Line,
    lines,
    timeline,
)
from deploy.core.reports.release_diff import Change, Commit
from deploy.core.reports.report_style import STYLE
from deploy.core.reports.rollout_log import RolloutLog

type Traffic = Mapping[str, Sequence[tuple[float, RequestStats]]]
"""By release: (seconds after the deploy began, the requests of that moment), `EVERY_S` apart."""
EVERY_S = 2.0
_WORDS = {"pass": "passed", "fail": "refused", "inconclusive": "unclear"}


@dataclass(frozen=True)
class Report:
    """All that the page shows; what isn't known is empty, and its section says so or is left out."""

    chronicle: RolloutLog
    made_at: str
    tool_version: str
    image: str = ""
    image_bytes: tuple[int, int] = (0, 0)
    verdicts: tuple[tuple[str, Verdict], ...] = ()
    traffic: Traffic | None = None
    replicas: tuple[tuple[str, str, str, str], ...] = ()
    commits: tuple[Commit, ...] = ()
    changes: tuple[Change, ...] = ()
    replica_diff: tuple[str, ...] = ()
    shots: tuple[tuple[str, str], ...] = ()


def render_report(report: Report) -> str:
    """Writes the page."""
    told = report.chronicle
    title = f"{told.service} {told.release}: {told.outcome}"
    sections = (
        _head(report),
        _gate(report.verdicts),
        _timeline(told),
        _traffic(report),
        _changed(report),
        _replicas(report.replicas),
        _shots(report.shots),
        _steps(told),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"{''.join(sections)}<footer>ship {escape(report.tool_version)} · {escape(report.made_at)}"
        "</footer></main></body></html>\n"
    )


def _section(title: str, body: str, note: str = "") -> str:
    told = f'<p class="note">{note}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{told}{body}</section>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(report: Report) -> str:
    told = report.chronicle
    why = f'<p class="why">{escape(told.why)}</p>' if told.why else ""
    old, new = report.image_bytes
    size = f"{new / 1e6:.1f} MB" if new else "?"
    grown = f" ({(new - old) / 1e6:+.1f} MB)" if new and old else ""
    requests = _all(report.traffic, told.release)
    facts = [
        ("took", _seconds(told.seconds)),
        ("hosts", str(len({span.host for span in told.spans}))),
        ("steps", str(len(told.spans))),
        ("image", size + grown),
        (
            "requests to it",
            f"{requests.requests:,}".replace(",", " ") if requests.requests else "?",
        ),
        ("errors of it", f"{requests.error_share:.2%}" if requests.requests else "?"),
    ]
    tiles = "".join(
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b></div>'
        for name, value in facts
    )
    run = f' · <a href="{escape(told.pipeline)}">pipeline</a>' if told.pipeline else ""
    return (
        f'<header><div class="badge {escape(told.outcome)}">{escape(told.outcome)}</div>'
        f"<h1>{escape(told.service)} <code>{escape(told.release)}</code></h1>"
        f"<p>{escape(told.verb)} to <b>{escape(told.environment)}</b> by {escape(told.who)}, {escape(told.begun)}"
        f"{', over <code>' + escape(told.previous) + '</code>' if told.previous else ''}{run}</p>{why}"
        f'<div class="tiles">{tiles}</div></header>'
    )


def _gate(verdicts: Sequence[tuple[str, Verdict]]) -> str:
    if not verdicts:
        return _section("The gate", '<p class="note">Nobody judged this one.</p>')
    names = {
        "trial": "before any user",
        "canary": "by a share of the users",
        "users": "under all users",
    }
    cards = []
    for stage, verdict in verdicts:
        rows = [
            (
                f'<span class="dot {each.outcome}"></span>{escape(each.rule)}',
                _WORDS[each.outcome],
                escape(each.text),
            )
            for each in verdict.results
        ]
        basis = "users' requests" if verdict.basis == "users" else "synthetic requests"
        cards.append(
            f'<div class="card"><h3>{escape(names.get(stage, stage))} '
            f'<span class="pill {verdict.outcome}">{_WORDS[verdict.outcome]}</span></h3>'
            f'<p class="note">look {verdict.attempt}, by {basis}</p>{_table(("rule", "", "evidence"), rows)}</div>'
        )
    return _section("The gate", f'<div class="cards">{"".join(cards)}</div>')


def _timeline(told: RolloutLog) -> str:
    bars = [
        Bar("phases", name, begun, ended, "phase", f"{name}: {ended - begun:.1f} s")
        for name, begun, ended in told.phases
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
        for span in told.spans
    ]
    return _section("How it went", timeline(bars, told.seconds), "Point at a bar for its cause.")


def _traffic(report: Report) -> str:
    told, traffic = report.chronicle, report.traffic or {}
    if not any(traffic.values()):
        note = "The edges hold no line of that time any more, or nobody asked."
        return _section("What users met", f'<p class="note">{note}</p>')
    kinds = {told.previous: "old", told.release: "new"}
    series = [(name, kinds.get(name, "other"), moments) for name, moments in traffic.items()]
    every = [at for _, _, moments in series for at, _ in moments]
    span = (min(every), max(*every, told.seconds))
    marks = {name: begun for name, begun, _ in told.phases if name.startswith(("switch", "canary"))}
    back = [begun for name, begun, _ in told.phases if name.startswith("way back")]
    marks |= {"taken back": back[0]} if back else {}
    charts = (
        ("requests a second", [_points(s, lambda t: t.requests / EVERY_S) for s in series], True),
        ("errors, %", [_points(s, lambda t: 100 * t.error_share) for s in series], False),
        ("median, ms", [_points(s, lambda t: 1000 * t.quantile_s(0.5)) for s in series], False),
        (
            "95th percentile, ms",
            [_points(s, lambda t: 1000 * t.quantile_s(0.95)) for s in series],
            False,
        ),
    )
    drawn = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>"
        f"{lines(found, span, unit=name, marks=marks, area=area)}</figure>"
        for name, found, area in charts
    )
    legend = "".join(
        f'<span class="key {kind}">{escape(name)} <b>{_all(traffic, name).requests}</b></span>'
        for name, kind, _ in series
    )
    note = "As the edges logged it, synthetic requests included; seconds after the deploy began."
    return _section(
        "What users met", f'<p class="keys">{legend}</p><div class="charts">{drawn}</div>', note
    )


def _points(series: tuple[str, str, Sequence[tuple[float, RequestStats]]], value: object) -> Line:
    name, kind, moments = series
    assert callable(value)
    return Line(name, kind, [(at, float(value(tally))) for at, tally in moments if tally.requests])


def _changed(report: Report) -> str:
    parts = []
    if report.commits:
        rows = [
            (
                f"<code>{escape(c.revision[:9])}</code>",
                escape(c.subject),
                escape(c.who),
                escape(c.when),
            )
            for c in report.commits
        ]
        parts.append(_table(("commit", "subject", "by", "when"), rows))
    if report.changes:
        changed = [
            (
                escape(c.name),
                f"<del>{escape(c.before) or '—'}</del>",
                f"<ins>{escape(c.after) or '—'}</ins>",
            )
            for c in report.changes
        ]
        parts.append(_table(("setting", "before", "after"), changed))
    if report.replica_diff:
        parts.append(f"<pre>{escape(chr(10).join(report.replica_diff))}</pre>")
    same = '<p class="note">Neither commits nor settings, as far as the records tell.</p>'
    return _section("What changed", "".join(parts) or same)


def _replicas(replicas: Sequence[tuple[str, str, str, str]]) -> str:
    """(host, replica, release, condition) each."""
    cards = []
    for host, each in groupby(replicas, key=lambda row: row[0]):
        chips = "".join(
            f'<span class="chip {"well" if condition in ("healthy", "running") else "ill"}">'
            f"{escape(name)}<small>{escape(condition)}</small></span>"
            for _, name, _, condition in each
        )
        cards.append(f'<div class="host"><h3>{escape(host)}</h3>{chips}</div>')
    none = '<p class="note">None of it runs now.</p>'
    return _section("Replicas now", "".join(cards) or none)


def _shots(shots: Sequence[tuple[str, str]]) -> str:
    if not shots:
        return ""
    pictures = "".join(
        f'<figure><img alt="{escape(name)}" src="{uri}"><figcaption>{escape(name)}</figcaption></figure>'
        for name, uri in shots
    )
    return _section("In the browser", f'<div class="shots">{pictures}</div>')


def _steps(told: RolloutLog) -> str:
    rows = [
        (
            f"{span.begun_s:.1f} s",
            escape(span.phase),
            escape(span.host),
            escape(span.step),
            escape(span.because)
            + (f'<p class="why">{escape(span.error)}</p>' if span.error else ""),
            f"{span.seconds:.1f} s",
        )
        for span in told.spans
    ]
    head = ("at", "phase", "host", "step", "because", "took")
    return _section(
        "Every step", f"<details><summary>{len(rows)} steps</summary>{_table(head, rows)}</details>"
    )


def _all(traffic: Traffic | None, release: str) -> RequestStats:
    return sum((tally for _, tally in (traffic or {}).get(release, ())), RequestStats())


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value // 60:.0f} min {value % 60:.0f} s"
