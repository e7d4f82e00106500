"""Defines all dashboards: panels, variables and annotations.

Queries about a service use the variable `$service`, so that a new service needs no dashboard of its own. Grafana
replaces `$__rate_interval` by at least four scrape intervals.
"""

from __future__ import annotations

from observability import slo
from observability.grafana_json import (
    Dashboard,
    Panel,
    Query,
    QueryAnnotation,
    TagAnnotation,
    Variable,
)
from observability.rules import errors, slow, traffic

SERVICE = Variable("service", "Service", "edge_requests_total")
HOST = Variable("host", "Host", 'up{job="hosts"}')
ENVIRONMENT = Variable("environment", "Environment", "e2e_journeys")
DEPLOYED_TO = Variable("environment", "Environment", "ship_deploy_seconds")

_OF_SERVICE = 'service=~"$service"'
# The edge counts the tool's own requests (the gate, the verification, browser journeys) apart.
_USERS_OF_SERVICE = f'{_OF_SERVICE},origin="users"'
_STABLE = f'job="replicas",track="stable",{_OF_SERVICE}'
_RATE = "[$__rate_interval]"
_RELEASES = QueryAnnotation(
    "Releases",
    f'count by (service, release, track) (up{{job="replicas",{_OF_SERVICE}}}) unless count by (service, release, track)'
    f' (up{{job="replicas",{_OF_SERVICE}}} offset 30s)',
    "{{service}} {{release}}: {{track}}",
    "blue",
)
_ALERTS = QueryAnnotation(
    "Alerts",
    'ALERTS{alertstate="firing",severity="critical"}',
    "{{alertname}} {{service}}{{host}}",
    "red",
)

# `ship` posts these at the end of a deploy if GRAFANA_URL is set (libs/deploy/adapters/rollout_exports.py).
_DEPLOYS = TagAnnotation("Deploys", "deploy", "purple")
_PHASES = TagAnnotation("Phases", "phase", "orange")


def _quantile(quantile: float, metric: str, by: str, selector: str) -> str:
    return f"histogram_quantile({quantile:g}, sum by (le, {by}) (rate({metric}_bucket{{{selector}}}{_RATE})))"


def _requests(by: str, extra_selector: str = "") -> str:
    return (
        f"sum by ({by}) (rate(edge_requests_total{{{_USERS_OF_SERVICE}{extra_selector}}}{_RATE}))"
    )


def _failed(by: str) -> str:
    return f"{_requests(by, ',status="5xx"')} / {_requests(by)}"


_SLOW = (
    f'1 - sum by (service) (rate(edge_request_duration_seconds_bucket{{{_USERS_OF_SERVICE},le="0.25"}}{_RATE}))'
    f" / sum by (service) (rate(edge_request_duration_seconds_count{{{_USERS_OF_SERVICE}}}{_RATE}))"
)

OVERVIEW = Dashboard(
    "py-cicd-service",
    "Service overview",
    "Requests, errors and latency of a service, by release and by replica.",
    (
        Panel(
            1,
            "Replicas up",
            "Replicas of live releases that answer scrapes, on all hosts.",
            "short",
            (Query(f"sum by (service) (up{{{_STABLE}}})", "{{service}}"),),
            "stat",
        ),
        Panel(
            2,
            "Requests",
            "Users' requests per second, counted at the edge.",
            "reqps",
            (
                Query(
                    f"sum by (service) (rate(edge_requests_total{{{_USERS_OF_SERVICE}}}{_RATE}))",
                    "{{service}}",
                ),
            ),
            "stat",
        ),
        Panel(
            3,
            "Errors",
            "Share of requests answered with a 5xx.",
            "percentunit",
            (
                Query(
                    _failed("service"),
                    "{{service}}",
                ),
            ),
            "stat",
        ),
        Panel(
            4,
            "Slow requests",
            "Share of requests that took longer than 250 ms.",
            "percentunit",
            (
                Query(
                    _SLOW,
                    "{{service}}",
                ),
            ),
            "stat",
        ),
        Panel(
            5,
            "Requests by release",
            "Users' requests per second at the edge.",
            "reqps",
            (
                Query(
                    f"sum by (service, release) (rate(edge_requests_total{{{_USERS_OF_SERVICE}}}{_RATE}))",
                    "{{service}} {{release}}",
                ),
            ),
        ),
        Panel(
            6,
            "Errors by release",
            "5xx responses to users per second at the edge.",
            "reqps",
            (
                Query(
                    f'sum by (service, release) (rate(edge_requests_total{{{_USERS_OF_SERVICE},status="5xx"}}{_RATE}))',
                    "{{service}} {{release}}",
                ),
            ),
            empty="no errors",
        ),
        Panel(
            7,
            "Latency by release",
            "Median and 99th percentile of the time to the last byte at the edge.",
            "s",
            (
                Query(
                    _quantile(0.5, "edge_request_duration_seconds", "release", _USERS_OF_SERVICE),
                    "{{release}} 50 %",
                ),
                Query(
                    _quantile(0.99, "edge_request_duration_seconds", "release", _USERS_OF_SERVICE),
                    "{{release}} 99 %",
                ),
            ),
        ),
        Panel(
            8,
            "Latency by route",
            "99th percentile of the time in the replica.",
            "s",
            (
                Query(
                    _quantile(0.99, "http_request_duration_seconds", "route", _OF_SERVICE),
                    "{{route}}",
                ),
            ),
        ),
        Panel(
            9,
            "Requests by replica",
            "Requests per second of each replica. They should be about equal.",
            "reqps",
            (
                Query(
                    f"sum by (replica) (rate(http_requests_total{{{_OF_SERVICE}}}{_RATE}))",
                    "{{replica}}",
                ),
            ),
        ),
        Panel(
            10,
            "Errors by replica",
            "5xx responses per second of each replica.",
            "reqps",
            (
                Query(
                    f'sum by (replica) (rate(http_requests_total{{{_OF_SERVICE},status="5xx"}}{_RATE}))',
                    "{{replica}}",
                ),
            ),
            empty="no errors",
        ),
        Panel(
            11,
            "Busy threads",
            "Share of each replica's worker threads that serve a connection.",
            "percentunit",
            (
                Query(
                    f"http_worker_threads_busy{{{_OF_SERVICE}}} / http_worker_threads{{{_OF_SERVICE}}}",
                    "{{replica}}",
                ),
            ),
        ),
        Panel(
            12,
            "Waiting connections",
            "Connections that wait for a free thread.",
            "short",
            (
                Query(
                    f"sum by (replica) (http_worker_queued_connections{{{_OF_SERVICE}}})",
                    "{{replica}}",
                ),
            ),
        ),
        Panel(
            13,
            "CPU by replica",
            "CPU seconds per second used by each container.",
            "percentunit",
            (
                Query(
                    f"sum by (replica) (rate(container_cpu_seconds_total{{{_OF_SERVICE}}}{_RATE}))",
                    "{{replica}}",
                ),
            ),
        ),
        Panel(
            14,
            "Memory by replica",
            "Memory of each container, excluding the page cache.",
            "bytes",
            (Query(f"sum by (replica) (container_memory_bytes{{{_OF_SERVICE}}})", "{{replica}}"),),
        ),
        Panel(
            15,
            "Requests by origin",
            "Requests per second at the edge: from users, and the tool's own (the release gate, the verification and"
            " browser journeys), which count nowhere else.",
            "reqps",
            (
                Query(
                    f"sum by (origin) (rate(edge_requests_total{{{_OF_SERVICE}}}{_RATE}))",
                    "{{origin}}",
                ),
            ),
        ),
    ),
    (SERVICE,),
    (_RELEASES, _DEPLOYS, _ALERTS),
)

ROLLOUT = Dashboard(
    "py-cicd-rollout",
    "Rollout",
    "The old and the new release side by side during a rollout.",
    (
        Panel(
            1,
            "Replicas by release",
            "Replicas that answer scrapes, by release and track. A candidate appears before it gets traffic.",
            "short",
            (
                Query(
                    f'sum by (service, release, track) (up{{job="replicas",{_OF_SERVICE}}})',
                    "{{service}} {{release}} {{track}}",
                ),
            ),
        ),
        Panel(
            2,
            "Traffic by release",
            "Share of requests answered by each release.",
            "percentunit",
            (
                Query(
                    f"{_requests('service, release')} / on (service) group_left () {_requests('service')}",
                    "{{service}} {{release}}",
                ),
            ),
        ),
        Panel(
            3,
            "Errors by release",
            "Share of each release's requests answered with a 5xx.",
            "percentunit",
            (
                Query(
                    _failed("service, release"),
                    "{{service}} {{release}}",
                ),
            ),
        ),
        Panel(
            4,
            "Latency by release",
            "99th percentile of each release's response time at the edge.",
            "s",
            (
                Query(
                    _quantile(0.99, "edge_request_duration_seconds", "release", _USERS_OF_SERVICE),
                    "{{release}}",
                ),
            ),
        ),
        Panel(
            5,
            "Traffic by host",
            "Requests per second that each host's edge sends to each release.",
            "reqps",
            (
                Query(
                    f"sum by (host, release) (rate(edge_requests_total{{{_USERS_OF_SERVICE}}}{_RATE}))",
                    "{{host}} {{release}}",
                ),
            ),
        ),
        Panel(
            6,
            "Starts",
            "Replicas started within the last 15 minutes.",
            "short",
            (
                Query(
                    f'sum by (release) (time() - container_start_time_seconds{{kind="replica",{_OF_SERVICE}}}'
                    " < bool 900)",
                    "{{release}}",
                ),
            ),
        ),
        Panel(
            7,
            "Running replicas",
            "Release, revision and image of each replica.",
            "short",
            (
                Query(
                    f"max by (service, release, revision, image, host, replica, track)"
                    f" (service_build_info{{{_OF_SERVICE}}})",
                    "{{replica}}",
                ),
            ),
            "table",
        ),
    ),
    (SERVICE,),
    (_RELEASES, _DEPLOYS, _PHASES, _ALERTS),
    "now-15m",
)

_ON_HOST = 'host=~"$host"'
FLEET = Dashboard(
    "py-cicd-fleet",
    "Fleet",
    "Hosts with their Docker engines, disks and edges.",
    (
        Panel(
            1,
            "Hosts",
            "Hosts whose Prometheus answers.",
            "short",
            (Query(f'sum (up{{job="hosts",{_ON_HOST}}})', "hosts"),),
            "stat",
        ),
        Panel(
            2,
            "Engines",
            "Docker engines that answer.",
            "short",
            (Query(f"sum (engine_up{{{_ON_HOST}}})", "engines"),),
            "stat",
        ),
        Panel(
            3,
            "Edges",
            "Edges (nginx) that answer.",
            "short",
            (Query(f"sum (nginx_up{{{_ON_HOST}}})", "edges"),),
            "stat",
        ),
        Panel(
            4,
            "Certificate",
            "Time until the first of the hosts' certificates expires.",
            "s",
            (
                Query(
                    f"min (host_certificate_expiry_timestamp_seconds{{{_ON_HOST}}}) - time()",
                    "first to expire",
                ),
            ),
            "stat",
        ),
        Panel(
            5,
            "CPU",
            "Share of each host's CPU time in use.",
            "percentunit",
            (
                Query(
                    f'1 - avg by (host) (rate(node_cpu_seconds_total{{mode="idle",{_ON_HOST}}}{_RATE}))',
                    "{{host}}",
                ),
            ),
        ),
        Panel(
            6,
            "Memory",
            "Share of each host's memory in use.",
            "percentunit",
            (
                Query(
                    f"1 - node_memory_MemAvailable_bytes{{{_ON_HOST}}} / node_memory_MemTotal_bytes{{{_ON_HOST}}}",
                    "{{host}}",
                ),
            ),
        ),
        Panel(
            7,
            "Docker disk",
            "Free share of the disk with Docker's data.",
            "percentunit",
            (
                Query(
                    f"engine_disk_available_bytes{{{_ON_HOST}}} / engine_disk_size_bytes{{{_ON_HOST}}}",
                    "{{host}}",
                ),
            ),
        ),
        Panel(
            8,
            "Docker disk by kind",
            "Disk space used by Docker's images, containers and volumes.",
            "bytes",
            (
                Query(
                    f"sum by (host, kind) (engine_disk_used_bytes{{{_ON_HOST}}})",
                    "{{host}} {{kind}}",
                ),
            ),
        ),
        Panel(
            9,
            "Connections",
            "Client connections of each edge, by state.",
            "short",
            (
                Query(
                    f'sum by (host, state) (nginx_connections{{state!="active",{_ON_HOST}}})',
                    "{{host}} {{state}}",
                ),
            ),
        ),
        Panel(
            10,
            "Edge requests",
            "Requests per second of each edge, including health checks.",
            "reqps",
            (
                Query(
                    f"sum by (host) (rate(nginx_requests_total{{{_ON_HOST}}}{_RATE}))", "{{host}}"
                ),
            ),
        ),
        Panel(
            11,
            "Network",
            "Bytes per second received by each host.",
            "Bps",
            (
                Query(
                    f"sum by (host) (rate(node_network_receive_bytes_total{{{_ON_HOST}}}{_RATE}))",
                    "{{host}}",
                ),
            ),
        ),
        Panel(
            12,
            "Running containers",
            "Running containers that the deploy tool manages, by kind.",
            "short",
            (Query(f"sum by (host, kind) (container_running{{{_ON_HOST}}})", "{{host}} {{kind}}"),),
        ),
    ),
    (HOST,),
    (_ALERTS,),
)

_BUDGET = f"(1 - {slo.AVAILABILITY:g})"
OBJECTIVES = Dashboard(
    "py-cicd-slo",
    "Objectives and error budget",
    f"{slo.AVAILABILITY:.1%} of requests without a 5xx and {slo.LATENCY:.0%} within"
    f" {slo.LATENCY_LIMIT_S * 1000:g} ms, over {slo.PERIOD_DAYS} days.",
    (
        Panel(
            1,
            "Availability, 3 days",
            "Share of requests without a 5xx.",
            "percentunit",
            (Query(f"1 - {errors('3d')}{{{_OF_SERVICE}}}", "{{service}}"),),
            "stat",
        ),
        Panel(
            2,
            "Within 250 ms, 3 days",
            "Share of requests within 250 ms.",
            "percentunit",
            (Query(f"1 - {slow('3d')}{{{_OF_SERVICE}}}", "{{service}}"),),
            "stat",
        ),
        Panel(
            3,
            "Error budget left",
            "Remaining share of the error budget if the whole period is like the last three days.",
            "percentunit",
            (Query(f"1 - {errors('3d')}{{{_OF_SERVICE}}} / {_BUDGET}", "{{service}}"),),
            "stat",
        ),
        Panel(
            4,
            "Requests, 1 hour",
            "Requests per second over an hour.",
            "reqps",
            (Query(f"{traffic('1h')}{{{_OF_SERVICE}}}", "{{service}}"),),
            "stat",
        ),
        Panel(
            5,
            "Burn rate of errors",
            "How many times as fast as allowed the error budget burns. 14.4 over an hour sends a page.",
            "short",
            tuple(
                Query(f"{errors(window)}{{{_OF_SERVICE}}} / {_BUDGET}", f"{{{{service}}}} {window}")
                for window in ("5m", "1h", "6h")
            ),
        ),
        Panel(
            6,
            "Burn rate of slowness",
            "The same for the budget of requests over 250 ms.",
            "short",
            tuple(
                Query(
                    f"{slow(window)}{{{_OF_SERVICE}}} / (1 - {slo.LATENCY:g})",
                    f"{{{{service}}}} {window}",
                )
                for window in ("5m", "1h", "6h")
            ),
        ),
        Panel(
            7,
            "Firing alerts",
            "By name. docs/runbooks has a runbook for each.",
            "short",
            (
                Query(
                    'count by (alertname, severity) (ALERTS{alertstate="firing"})', "{{alertname}}"
                ),
            ),
            "table",
            empty="no alert fires",
        ),
    ),
    (SERVICE,),
    (_RELEASES, _DEPLOYS, _ALERTS),
    "now-6h",
)

_IN_ENV = 'environment=~"$environment"'
JOURNEYS = Dashboard(
    "py-cicd-journeys",
    "Journeys and web vitals",
    "Results of browser tests that do what users do.",
    (
        Panel(
            1,
            "Failed journeys",
            "Of the last run.",
            "short",
            (
                Query(
                    f"max by (environment, suite) (e2e_failed_journeys{{{_IN_ENV}}})",
                    "{{environment}} {{suite}}",
                ),
            ),
            "stat",
        ),
        Panel(
            2,
            "Journeys",
            "Of the last run.",
            "short",
            (
                Query(
                    f"max by (environment, suite) (e2e_journeys{{{_IN_ENV}}})",
                    "{{environment}} {{suite}}",
                ),
            ),
            "stat",
        ),
        Panel(
            3,
            "Since the last green run",
            "Time since all journeys passed.",
            "s",
            (
                Query(
                    f"time() - max by (environment, suite) (e2e_last_success_timestamp_seconds{{{_IN_ENV}}})",
                    "{{environment}} {{suite}}",
                ),
            ),
            "stat",
        ),
        Panel(
            4,
            "Duration of the run",
            "From the start of the first journey to the end of the last one.",
            "s",
            (
                Query(
                    f"max by (environment, suite) (e2e_run_duration_seconds{{{_IN_ENV}}})",
                    "{{environment}} {{suite}}",
                ),
            ),
            "stat",
        ),
        Panel(
            5,
            "Journey results",
            "1 passed, 0 failed.",
            "short",
            (Query(f"max by (journey) (e2e_journey_success{{{_IN_ENV}}})", "{{journey}}"),),
        ),
        Panel(
            6,
            "Journey durations",
            "How long each journey took.",
            "s",
            (
                Query(
                    f"max by (journey) (e2e_journey_duration_seconds{{{_IN_ENV}}})",
                    "{{journey}}",
                ),
            ),
        ),
        Panel(
            7,
            "Largest contentful paint",
            "When a page's main content was painted. Good: below 2.5 s.",
            "s",
            (
                Query(
                    f'max by (page) (e2e_web_vital_seconds{{vital="lcp",{_IN_ENV}}})',
                    "{{page}}",
                ),
            ),
        ),
        Panel(
            8,
            "Time to first byte",
            "When a page's first byte arrived. Good: below 0.8 s.",
            "s",
            (
                Query(
                    f'max by (page) (e2e_web_vital_seconds{{vital="ttfb",{_IN_ENV}}})',
                    "{{page}}",
                ),
            ),
        ),
        Panel(
            9,
            "Interaction to next paint",
            "How long a page took to react to an input. Good: below 0.2 s.",
            "s",
            (
                Query(
                    f'max by (page) (e2e_web_vital_seconds{{vital="inp",{_IN_ENV}}})',
                    "{{page}}",
                ),
            ),
        ),
        Panel(
            10,
            "Layout shift",
            "How much a page's layout moved while it loaded. Good: below 0.1.",
            "short",
            (Query(f"max by (page) (e2e_layout_shift{{{_IN_ENV}}})", "{{page}}"),),
        ),
    ),
    (ENVIRONMENT,),
    (_ALERTS,),
    "now-6h",
)

_SERVICE_IN_ENV = _OF_SERVICE + ',environment=~"$environment"'
DELIVERY = Dashboard(
    "py-cicd-delivery",
    "Delivery",
    "How often, how fast and how safely changes reach users: DORA's four keys, from the hosts' records.",
    (
        Panel(
            1,
            "Deploys per day",
            "Deploys that went live, over 30 days.",
            "short",
            (
                Query(
                    f"max by (service) (ship_dora_deploys_per_day{{{_SERVICE_IN_ENV}}})",
                    "{{service}}",
                ),
            ),
            "stat",
        ),
        Panel(
            2,
            "Lead time",
            "Median time from a commit until it is live.",
            "s",
            (
                Query(
                    f"max by (service) (ship_dora_lead_time_seconds{{{_SERVICE_IN_ENV}}})",
                    "{{service}}",
                ),
            ),
            "stat",
        ),
        Panel(
            3,
            "Change failure rate",
            "Share of deploys that were reverted, automatically or by a rollback.",
            "percentunit",
            (
                Query(
                    f"max by (service) (ship_dora_change_failure_ratio{{{_SERVICE_IN_ENV}}})",
                    "{{service}}",
                ),
            ),
            "stat",
        ),
        Panel(
            4,
            "Time to restore",
            "Median time from a failed deploy, or from the release that was rolled back, to the next verified release.",
            "s",
            (
                Query(
                    f"max by (service) (ship_dora_restore_seconds{{{_SERVICE_IN_ENV}}})",
                    "{{service}}",
                ),
            ),
            "stat",
            empty="no deploy failed",
        ),
        Panel(
            5,
            "Duration of the last deploy",
            "From its start to its end, by verb.",
            "s",
            (
                Query(
                    f"max by (service, verb) (ship_deploy_seconds{{{_SERVICE_IN_ENV}}})",
                    "{{service}} {{verb}}",
                ),
            ),
        ),
        Panel(
            6,
            "Phases of the last deploy",
            "Duration of each phase. A held release has two parts: deploy until the hold, then promote.",
            "s",
            (
                Query(
                    f"max by (service, verb, phase)"
                    f' (ship_deploy_phase_seconds{{verb=~"deploy|promote",{_SERVICE_IN_ENV}}})',
                    "{{service}} {{verb}} {{phase}}",
                ),
            ),
        ),
        Panel(
            7,
            "Outcome of the last deploy",
            "By verb.",
            "short",
            (
                Query(
                    f"max by (service, verb, outcome) (ship_deploy_outcome{{{_SERVICE_IN_ENV}}}) == 1",
                    "{{service}} {{verb}} {{outcome}}",
                ),
            ),
            "table",
        ),
    ),
    (SERVICE, DEPLOYED_TO),
    (_RELEASES, _DEPLOYS),
    "now-30d",
)

DASHBOARDS = (OVERVIEW, ROLLOUT, FLEET, OBJECTIVES, JOURNEYS, DELIVERY)
