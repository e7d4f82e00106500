"""Defines all recording and alert rules, and renders Prometheus' rule file.

The runbook of an alert is docs/runbooks/NAME.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from observability import slo
from observability.slo import BurnRate, Severity


@dataclass(frozen=True)
class RecordingRule:
    """A series that Prometheus records at each evaluation. Names are level:metric:operation."""

    record: str
    expr: str


@dataclass(frozen=True)
class AlertRule:
    """An alert: it fires once `expr` has been true for `pending_for`."""

    name: str
    expr: str
    pending_for: str
    severity: Severity
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


type Rule = RecordingRule | AlertRule


@dataclass(frozen=True)
class RuleGroup:
    """Rules that Prometheus evaluates one after another."""

    name: str
    rules: tuple[Rule, ...]


def seconds(duration: str) -> float:
    """Returns the seconds of a duration such as 30m."""
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[duration[-1]]


def errors(window: str) -> str:
    """Returns the name of the series with the share of failed requests over a window."""
    return f"service:edge_errors:ratio_rate{window}"


def slow(window: str) -> str:
    """Returns the name of the series with the share of slow requests over a window."""
    return f"service:edge_slow:ratio_rate{window}"


def traffic(window: str) -> str:
    """Returns the name of the series with the requests per second over a window."""
    return f"service:edge_requests:rate{window}"


# Objectives are about users: the gate's own requests and browser journeys don't count.
_USERS = 'origin="users"'


def _indicators(window: str) -> tuple[Rule, ...]:
    limit = f'le="{slo.LATENCY_LIMIT_S:g}"'
    requests = f"sum by (service) (rate(edge_requests_total{{{_USERS}}}[{window}]))"
    failed = f'sum by (service) (rate(edge_requests_total{{{_USERS},status="5xx"}}[{window}]))'
    fast = f"sum by (service) (rate(edge_request_duration_seconds_bucket{{{_USERS},{limit}}}[{window}]))"
    timed = f"sum by (service) (rate(edge_request_duration_seconds_count{{{_USERS}}}[{window}]))"
    return (
        RecordingRule(traffic(window), requests),
        RecordingRule(errors(window), f"{failed} / {requests}"),
        RecordingRule(slow(window), f"1 - {fast} / {timed}"),
    )


def _budget_alerts(
    budget: str, ratio: Callable[[str], str], objective: float, symptom: str
) -> tuple[Rule, ...]:
    def alert(burn: BurnRate) -> AlertRule:
        limit = f"{burn.factor * (1 - objective):.4g}"
        expr = (
            f"{ratio(burn.long)} > {limit} and {ratio(burn.short)} > {limit}"
            f" and {traffic(burn.long)} * {seconds(burn.long):g} >= {slo.MIN_REQUESTS}"
        )
        pace = "Fast" if burn.severity == "critical" else "Slowly"
        return AlertRule(
            f"{budget}BudgetBurns{pace}",
            expr,
            "2m" if burn.severity == "critical" else "15m",
            burn.severity,
            f"{{{{ $labels.service }}}}: {{{{ $value | humanizePercentage }}}} of requests {symptom}",
            f"Over both {burn.long} and {burn.short} the {slo.PERIOD_DAYS}-day error budget burns at least"
            f" {burn.factor:g} times as fast as it may.",
            {"window": burn.long},
        )

    return tuple(alert(burn) for burn in slo.BURN_RATES)


SLO = RuleGroup(
    "slo-indicators", tuple(rule for window in slo.WINDOWS for rule in _indicators(window))
)

BUDGETS = RuleGroup(
    "slo-budgets",
    (
        *_budget_alerts("Availability", errors, slo.AVAILABILITY, "fail"),
        *_budget_alerts("Latency", slow, slo.LATENCY, "take longer than 250 ms"),
    ),
)

REPLICAS = RuleGroup(
    "replicas",
    (
        AlertRule(
            "ReplicasMissing",
            'count by (service, host) (up{job="replicas",track="stable"} == 0)',
            "30s",
            "critical",
            "{{ $labels.service }} on {{ $labels.host }}: {{ $value }} of its replicas don't answer",
            "Replicas of the live release don't answer scrapes. The edge skips them, so users get no errors as long as"
            " one replica is left.",
        ),
        AlertRule(
            "ReplicaFlapping",
            'changes(container_start_time_seconds{kind="replica"}[15m]) > 2',
            "0s",
            "warning",
            "{{ $labels.replica }} on {{ $labels.host }} started {{ $value }} times in 15 minutes",
            "The replica keeps crashing and serves requests only in between.",
        ),
        AlertRule(
            "ReplicaNearMemoryLimit",
            'container_memory_bytes{kind="replica"} / container_memory_limit_bytes > 0.9',
            "10m",
            "warning",
            "{{ $labels.replica }} on {{ $labels.host }} uses {{ $value | humanizePercentage }} of its memory limit",
            "At the limit the kernel kills the replica.",
        ),
        AlertRule(
            "WorkersSaturated",
            'sum by (service, host) (http_worker_queued_connections{track="stable"}) > 0',
            "5m",
            "warning",
            "{{ $labels.service }} on {{ $labels.host }}: {{ $value }} connections wait for a worker thread",
            "All worker threads are busy, so requests queue.",
        ),
        AlertRule(
            "DeployStuck",
            'max by (service, release, host) (up{job="replicas",track="candidate"})',
            "30m",
            "warning",
            "{{ $labels.service }} {{ $labels.release }} on {{ $labels.host }} is neither live nor removed",
            "A candidate has been running beside the live release for 30 minutes: a forgotten hold or a killed deploy.",
            {"what": "candidate"},
        ),
        AlertRule(
            "DeployStuck",
            'count by (service) (count by (service, release) (up{job="replicas",track="stable"})) > 1',
            "15m",
            "critical",
            "{{ $labels.service }}: {{ $value }} releases are live at the same time",
            "The hosts serve different releases: a deploy was interrupted.",
            {"what": "mixed"},
        ),
    ),
)

HOSTS = RuleGroup(
    "hosts",
    (
        AlertRule(
            "MetricsMissing",
            'up{job="hosts"} == 0',
            "1m",
            "critical",
            "{{ $labels.host }}: no metrics arrive",
            "The host's Prometheus doesn't answer, so the state of its services is unknown.",
            {"what": "host"},
        ),
        AlertRule(
            "MetricsMissing",
            'up{job=~"node|exporter"} == 0',
            "2m",
            "warning",
            "{{ $labels.host }}: the metrics target {{ $labels.job }} doesn't answer",
            "Metrics of the host, or of its containers and edge, are missing.",
            {"what": "exporter"},
        ),
        AlertRule(
            "MetricsMissing",
            'count by (service, host) (container_running{kind="replica"} == 1)'
            ' unless count by (service, host) (up{job="replicas"})',
            "2m",
            "critical",
            "{{ $labels.service }} on {{ $labels.host }}: {{ $value }} replicas run, but none is scraped",
            "No target file of the host's Prometheus lists these replicas.",
            {"what": "service"},
        ),
        AlertRule(
            "EdgeDown",
            "nginx_up == 0",
            "30s",
            "critical",
            "{{ $labels.host }}: the edge doesn't answer",
            "nginx doesn't answer on the host's loopback address, so this host serves nobody.",
        ),
        AlertRule(
            "EdgeStateUnreadable",
            "watchdog_routes_readable == 0",
            "1m",
            "critical",
            "{{ $labels.host }}: the edge's state can't be read",
            "The edge serves as before, but the watchdog restarts no replica and deploys are refused.",
        ),
        AlertRule(
            "EngineDown",
            "engine_up == 0",
            "1m",
            "critical",
            "{{ $labels.host }}: the Docker engine doesn't answer",
            "Running replicas continue, but crashed ones aren't restarted and deploys fail.",
        ),
        AlertRule(
            "DiskFilling",
            "engine_disk_available_bytes / engine_disk_size_bytes < 0.25"
            " and predict_linear(engine_disk_available_bytes[6h], 86400) < 0",
            "30m",
            "warning",
            "{{ $labels.host }}: the engine's disk will be full within a day",
            "Extrapolated from the last six hours.",
        ),
        AlertRule(
            "DiskFull",
            "engine_disk_available_bytes / engine_disk_size_bytes < 0.05",
            "5m",
            "critical",
            "{{ $labels.host }}: {{ $value | humanizePercentage }} of the engine's disk is free",
            "Images can't be pulled, and soon logs can't be written.",
        ),
        AlertRule(
            "CertificateExpires",
            "host_certificate_expiry_timestamp_seconds - time() < 1814400",
            "1h",
            "warning",
            "{{ $labels.host }}: its {{ $labels.certificate }} certificate expires in {{ $value | humanizeDuration }}",
            "An expired certificate prevents Prometheus from collecting the host's metrics.",
            {"what": "soon"},
        ),
        AlertRule(
            "CertificateExpires",
            "host_certificate_expiry_timestamp_seconds - time() < 259200",
            "5m",
            "critical",
            "{{ $labels.host }}: its {{ $labels.certificate }} certificate expires in {{ $value | humanizeDuration }}",
            "An expired certificate prevents Prometheus from collecting the host's metrics.",
            {"what": "now"},
        ),
        AlertRule(
            "RegistryLoginOld",
            "time() - host_registry_login_timestamp_seconds > 2592000",
            "1h",
            "warning",
            "{{ $labels.host }}: last successful registry login {{ $value | humanizeDuration }} ago",
            "The credentials may have expired since; the next deploy might be unable to pull.",
        ),
    ),
)

JOURNEYS = RuleGroup(
    "journeys",
    (
        AlertRule(
            "JourneysFail",
            "max by (environment, suite) (e2e_failed_journeys) > 0",
            "5m",
            "critical",
            "{{ $labels.environment }}: {{ $value }} browser journeys of {{ $labels.suite }} failed",
            "Something that users do fails in a real browser.",
        ),
        AlertRule(
            "JourneysStale",
            "time() - max by (environment, suite) (e2e_last_success_timestamp_seconds) > 3600"
            " and on (environment, suite) e2e_monitored == 1",
            "5m",
            "warning",
            "{{ $labels.environment }}: {{ $labels.suite }} last passed {{ $value | humanizeDuration }} ago",
            "Either `ship monitor` isn't running or all its runs fail.",
        ),
    ),
)

GROUPS = (SLO, BUDGETS, REPLICAS, HOSTS, JOURNEYS)


def alerts() -> tuple[AlertRule, ...]:
    """Returns all alert rules."""
    return tuple(rule for group in GROUPS for rule in group.rules if isinstance(rule, AlertRule))


def render(groups: tuple[RuleGroup, ...] = GROUPS) -> str:
    """Returns Prometheus' rule file (https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/)."""
    lines = [
        "# Generated from observability/rules.py and slo.py by python3 -m observability. Don't edit.",
        "groups:",
    ]
    for group in groups:
        lines += [f"  - name: {group.name}", "    rules:"]
        for rule in group.rules:
            lines += (
                _recording_lines(rule) if isinstance(rule, RecordingRule) else _alert_lines(rule)
            )
    return "\n".join(lines) + "\n"


def _recording_lines(rule: RecordingRule) -> list[str]:
    return [f"      - record: {rule.record}", "        expr: >-", f"          {rule.expr}"]


def _alert_lines(rule: AlertRule) -> list[str]:
    lines = [f"      - alert: {rule.name}", "        expr: >-", f"          {rule.expr}"]
    if rule.pending_for != "0s":
        lines.append(f"        for: {rule.pending_for}")
    labels = {"severity": rule.severity, **rule.labels}
    lines.append("        labels:")
    lines += [f"          {name}: {_quoted(value)}" for name, value in labels.items()]
    lines.append("        annotations:")
    annotations = {
        "summary": rule.summary,
        "description": rule.description,
        "runbook": runbook(rule.name),
    }
    return [*lines, *(f"          {name}: {_quoted(text)}" for name, text in annotations.items())]


def runbook(alert: str) -> str:
    """Returns the path of an alert's runbook, relative to the root of the repository."""
    return f"docs/runbooks/{alert}.md"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'
