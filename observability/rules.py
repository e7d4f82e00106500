"""Every recording rule and alert as a value, and Prometheus' file of them; it never asks a Prometheus.

An alert's name is that of its runbook: docs/runbooks/NAME.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from observability import slo
from observability.slo import Burn, Severity


@dataclass(frozen=True)
class Recording:
    """A series that is written down at each evaluation, named level:metric:operation."""

    record: str
    expr: str


@dataclass(frozen=True)
class Alert:
    """What is wrong, for how long it must be, and what somebody is told."""

    name: str
    expr: str
    lasts: str
    severity: Severity
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


type Rule = Recording | Alert


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other."""

    name: str
    rules: tuple[Rule, ...]


def errors(window: str) -> str:
    """Names the share of errors over a window."""
    return f"service:edge_errors:ratio_rate{window}"


def slow(window: str) -> str:
    """Names the share of slow requests over a window."""
    return f"service:edge_slow:ratio_rate{window}"


def traffic(window: str) -> str:
    """Names the requests a second over a window."""
    return f"service:edge_requests:rate{window}"


def _indicators(window: str) -> tuple[Rule, ...]:
    requests = f"sum by (service) (rate(edge_requests_total[{window}]))"
    failed = f'sum by (service) (rate(edge_requests_total{{status="5xx"}}[{window}]))'
    fast = f'sum by (service) (rate(edge_request_duration_seconds_bucket{{le="{slo.LATENCY_LIMIT_S:g}"}}[{window}]))'
    timed = f"sum by (service) (rate(edge_request_duration_seconds_count[{window}]))"
    return (
        Recording(traffic(window), requests),
        Recording(errors(window), f"{failed} / {requests}"),
        Recording(slow(window), f"1 - {fast} / {timed}"),
    )


def _burns(what: str, ratio: str, objective: float, told: str) -> tuple[Rule, ...]:
    named = {"errors": errors, "slow": slow}[ratio]

    def one(burn: Burn) -> Alert:
        limit = f"{burn.factor * (1 - objective):.4g}"
        expr = (
            f"{named(burn.long)} > {limit} and {named(burn.short)} > {limit}"
            f" and {traffic(burn.long)} * {slo.SECONDS[burn.long]} >= {slo.FEWEST_REQUESTS}"
        )
        pace = "Fast" if burn.severity == "critical" else "Slowly"
        return Alert(
            f"{what}BudgetBurns{pace}",
            expr,
            "2m" if burn.severity == "critical" else "15m",
            burn.severity,
            f"{{{{ $labels.service }}}}: {told} of {{{{ $value | humanizePercentage }}}} of its requests",
            f"Over {burn.long} and {burn.short} the error budget of {slo.PERIOD_DAYS} days is burnt at least"
            f" {burn.factor:g} times as fast as it lasts.",
            {"window": burn.long},
        )

    return tuple(one(burn) for burn in slo.BURNS)


SLO = Group("slo-indicators", tuple(rule for window in slo.WINDOWS for rule in _indicators(window)))

BUDGETS = Group(
    "slo-budgets",
    (
        *_burns("Availability", "errors", slo.AVAILABILITY, "errors in the answers"),
        *_burns("Latency", "slow", slo.LATENCY, "answers later than a quarter of a second"),
    ),
)

REPLICAS = Group(
    "replicas",
    (
        Alert(
            "ReplicasMissing",
            'count by (service, host) (up{job="replicas",track="stable"} == 0)',
            "30s",
            "critical",
            "{{ $labels.service }} on {{ $labels.host }}: {{ $value }} of its replicas don't answer",
            "A replica of the live release doesn't answer its scrapes. The edge passes it over, so users meet fewer"
            " replicas, not errors, until there are none.",
        ),
        Alert(
            "ReplicaFlapping",
            'changes(container_start_time_seconds{kind="replica"}[15m]) > 2',
            "0s",
            "warning",
            "{{ $labels.replica }} on {{ $labels.host }} was started {{ $value }} times in a quarter of an hour",
            "A replica that ends again and again serves only between its ends.",
        ),
        Alert(
            "ReplicaNearMemoryLimit",
            'container_memory_bytes{kind="replica"} / container_memory_limit_bytes > 0.9',
            "10m",
            "warning",
            "{{ $labels.replica }} on {{ $labels.host }} uses {{ $value | humanizePercentage }} of its memory",
            "Above its limit the kernel kills it.",
        ),
        Alert(
            "WorkersSaturated",
            'sum by (service, host) (http_worker_queued_connections{track="stable"}) > 0',
            "5m",
            "warning",
            "{{ $labels.service }} on {{ $labels.host }}: {{ $value }} connections wait for a thread",
            "All worker threads are taken: answers wait in line.",
        ),
        Alert(
            "DeployStuck",
            'max by (service, release, host) (up{job="replicas",track="candidate"})',
            "30m",
            "warning",
            "{{ $labels.service }} {{ $labels.release }} on {{ $labels.host }} is neither live nor gone",
            "A candidate stands beside the live release for half an hour: a hold that was forgotten, or a deploy that"
            " was killed.",
            {"what": "candidate"},
        ),
        Alert(
            "DeployStuck",
            'count by (service) (count by (service, release) (up{job="replicas",track="stable"})) > 1',
            "15m",
            "critical",
            "{{ $labels.service }}: {{ $value }} releases are live at once",
            "The hosts don't serve the same release: a deploy ended half way.",
            {"what": "mixed"},
        ),
    ),
)

HOSTS = Group(
    "hosts",
    (
        Alert(
            "MetricsMissing",
            'up{job="hosts"} == 0',
            "1m",
            "critical",
            "{{ $labels.host }}: no metrics arrive",
            "The host's Prometheus can't be asked, so nothing is known of what runs there.",
            {"what": "host"},
        ),
        Alert(
            "MetricsMissing",
            'up{job=~"node|exporter"} == 0',
            "2m",
            "warning",
            "{{ $labels.host }}: its {{ $labels.job }} doesn't answer",
            "The host itself, its containers or its edge are not seen.",
            {"what": "part"},
        ),
        Alert(
            "MetricsMissing",
            'count by (service, host) (container_running{kind="replica"} == 1)'
            ' unless count by (service, host) (up{job="replicas"})',
            "2m",
            "critical",
            "{{ $labels.service }} on {{ $labels.host }}: {{ $value }} replicas run and none is scraped",
            "Replicas run that no target file names.",
            {"what": "service"},
        ),
        Alert(
            "EdgeDown",
            "nginx_up == 0",
            "30s",
            "critical",
            "{{ $labels.host }}: the edge doesn't answer",
            "nginx doesn't answer on the host's loopback: nobody is served by this host.",
        ),
        Alert(
            "EngineDown",
            "engine_up == 0",
            "1m",
            "critical",
            "{{ $labels.host }}: the Docker engine doesn't answer",
            "Replicas go on, but what ends is not started again and nothing can be deployed.",
        ),
        Alert(
            "DiskFilling",
            "engine_disk_available_bytes / engine_disk_size_bytes < 0.25"
            " and predict_linear(engine_disk_available_bytes[6h], 86400) < 0",
            "30m",
            "warning",
            "{{ $labels.host }}: the engine's disk is full within a day",
            "At the pace of the last six hours nothing is left in a day.",
        ),
        Alert(
            "DiskFull",
            "engine_disk_available_bytes / engine_disk_size_bytes < 0.05",
            "5m",
            "critical",
            "{{ $labels.host }}: {{ $value | humanizePercentage }} of the engine's disk is free",
            "No image can be pulled, and soon no log line written.",
        ),
        Alert(
            "CertificateExpires",
            "host_certificate_expiry_timestamp_seconds - time() < 1814400",
            "1h",
            "warning",
            "{{ $labels.host }}: its {{ $labels.certificate }} certificate ends in {{ $value | humanizeDuration }}",
            "After that no metrics leave the host.",
            {"what": "soon"},
        ),
        Alert(
            "CertificateExpires",
            "host_certificate_expiry_timestamp_seconds - time() < 259200",
            "5m",
            "critical",
            "{{ $labels.host }}: its {{ $labels.certificate }} certificate ends in {{ $value | humanizeDuration }}",
            "After that no metrics leave the host.",
            {"what": "now"},
        ),
        Alert(
            "RegistryLoginOld",
            "time() - host_registry_login_timestamp_seconds > 2592000",
            "1h",
            "warning",
            "{{ $labels.host }}: no registry accepted its login for {{ $value | humanizeDuration }}",
            "Whether the next deploy can pull is unproven: credentials may have ended meanwhile.",
        ),
    ),
)

JOURNEYS = Group(
    "journeys",
    (
        Alert(
            "JourneysFail",
            "max by (environment, suite) (e2e_failed_journeys) > 0",
            "5m",
            "critical",
            "{{ $labels.environment }}: {{ $value }} browser journeys of {{ $labels.suite }} failed",
            "What users do doesn't work in a real browser.",
        ),
        Alert(
            "JourneysStale",
            "time() - max by (environment, suite) (e2e_last_success_timestamp_seconds) > 3600",
            "5m",
            "warning",
            "{{ $labels.environment }}: {{ $labels.suite }} last passed {{ $value | humanizeDuration }} ago",
            "Nobody has proven lately that what users do works: `ship monitor` doesn't run, or every run is red.",
        ),
    ),
)

GROUPS = (SLO, BUDGETS, REPLICAS, HOSTS, JOURNEYS)


def alerts() -> tuple[Alert, ...]:
    """Returns all alerts."""
    return tuple(rule for group in GROUPS for rule in group.rules if isinstance(rule, Alert))


def render(groups: tuple[Group, ...] = GROUPS) -> str:
    """Writes Prometheus' rule file (https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/)."""
    lines = [
        "# Written by python3 -m observability from observability/rules.py and slo.py: change those.",
        "groups:",
    ]
    for group in groups:
        lines += [f"  - name: {group.name}", "    rules:"]
        for rule in group.rules:
            lines += _recording(rule) if isinstance(rule, Recording) else _alert(rule)
    return "\n".join(lines) + "\n"


def _recording(rule: Recording) -> list[str]:
    return [f"      - record: {rule.record}", "        expr: >-", f"          {rule.expr}"]


def _alert(rule: Alert) -> list[str]:
    lines = [f"      - alert: {rule.name}", "        expr: >-", f"          {rule.expr}"]
    if rule.lasts != "0s":
        lines.append(f"        for: {rule.lasts}")
    lines.append("        labels:")
    lines += [f"          {name}: {_quoted(value)}" for name, value in _labels(rule).items()]
    lines.append("        annotations:")
    told = {"summary": rule.summary, "description": rule.description, "runbook": runbook(rule.name)}
    return [*lines, *(f"          {name}: {_quoted(value)}" for name, value in told.items())]


def _labels(rule: Alert) -> dict[str, str]:
    return {"severity": rule.severity, **rule.labels}


def runbook(alert: str) -> str:
    """Names an alert's runbook, from the root of the repository."""
    return f"docs/runbooks/{alert}.md"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'
