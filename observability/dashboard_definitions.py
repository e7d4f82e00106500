"""What is on each dashboard; it draws nothing and asks nothing.

Every query that is about a service takes the service variable, so that a second service needs no dashboard of its own.
`[$__rate_interval]` is Grafana's: at least four scrapes.
"""

from __future__ import annotations

from observability import slo
from observability.grafana_json import (
    Board,
    Mark,
    Panel,
    Posted,
    Query,
    Variable,
)
from observability.rules import errors, slow, traffic

SERVICE = Variable("service", "Service", "edge_requests_total")
HOST = Variable("host", "Host", 'up{job="hosts"}')
ENVIRONMENT = Variable("environment", "Environment", "e2e_journeys")
DEPLOYED_TO = Variable("environment", "Environment", "ship_deploy_seconds")

_EDGE = 'service=~"$service"'
_STABLE = f'job="replicas",track="stable",{_EDGE}'
_RATE = "[$__rate_interval]"
_DEPLOYED = Mark(
    "Releases",
    f'count by (service, release, track) (up{{job="replicas",{_EDGE}}}) unless count by (service, release, track)'
    f' (up{{job="replicas",{_EDGE}}} offset 30s)',
    "{{service}} {{release}}: {{track}}",
    "blue",
)
_ALERTS = Mark(
    "Alerts",
    'ALERTS{alertstate="firing",severity="critical"}',
    "{{alertname}} {{service}}{{host}}",
    "red",
)

# What `ship` posts at a deploy's end (libs/deploy/adapters/rollout_exports.py), where GRAFANA_URL is set.
_DEPLOYS = Posted("Deploys", "deploy", "purple")
_PHASES = Posted("Phases", "phase", "orange")


def _quantile(share: float, metric: str, by: str, chosen: str) -> str:
    return f"histogram_quantile({share:g}, sum by (le, {by}) (rate({metric}_bucket{{{chosen}}}{_RATE})))"


def _requests(by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate(edge_requests_total{{{_EDGE}{more}}}{_RATE}))"


def _failed(by: str) -> str:
    return f"{_requests(by, ',status="5xx"')} / {_requests(by)}"


_SLOW = (
    f'1 - sum by (service) (rate(edge_request_duration_seconds_bucket{{{_EDGE},le="0.25"}}{_RATE}))'
    f" / sum by (service) (rate(edge_request_duration_seconds_count{{{_EDGE}}}{_RATE}))"
)

OVERVIEW = Board(
    "py-cicd-service",
    "Service overview",
    "Requests, errors and latency of a service, by release and by replica.",
    (
        Panel(
            1,
            "Replicas up",
            "Replicas of live releases that answer their scrapes, over all hosts.",
            "short",
            (Query(f"sum by (service) (up{{{_STABLE}}})", "{{service}}"),),
            "stat",
        ),
        Panel(
            2,
            "Requests",
            "Requests a second that users sent, as the edge answered them.",
            "reqps",
            (
                Query(
                    f"sum by (service) (rate(edge_requests_total{{{_EDGE}}}{_RATE}))", "{{service}}"
                ),
            ),
            "stat",
        ),
        Panel(
            3,
            "Errors",
            "Share of requests that were answered with a 5xx.",
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
            "Requests a second at the edge.",
            "reqps",
            (
                Query(
                    f"sum by (service, release) (rate(edge_requests_total{{{_EDGE}}}{_RATE}))",
                    "{{service}} {{release}}",
                ),
            ),
        ),
        Panel(
            6,
            "Errors by release",
            "5xx answers a second at the edge.",
            "reqps",
            (
                Query(
                    f'sum by (service, release) (rate(edge_requests_total{{{_EDGE},status="5xx"}}{_RATE}))',
                    "{{service}} {{release}}",
                ),
            ),
        ),
        Panel(
            7,
            "Latency by release",
            "Time to the last byte at the edge: half and 99 % of the requests are faster.",
            "s",
            (
                Query(
                    _quantile(0.5, "edge_request_duration_seconds", "release", _EDGE),
                    "{{release}} 50 %",
                ),
                Query(
                    _quantile(0.99, "edge_request_duration_seconds", "release", _EDGE),
                    "{{release}} 99 %",
                ),
            ),
        ),
        Panel(
            8,
            "Latency by route",
            "Time in the replica, 99 % of the requests are faster.",
            "s",
            (Query(_quantile(0.99, "http_request_duration_seconds", "route", _EDGE), "{{route}}"),),
        ),
        Panel(
            9,
            "Requests by replica",
            "Requests a second that each replica answered: they should be alike.",
            "reqps",
            (
                Query(
                    f"sum by (replica) (rate(http_requests_total{{{_EDGE}}}{_RATE}))", "{{replica}}"
                ),
            ),
        ),
        Panel(
            10,
            "Errors by replica",
            "5xx answers a second of each replica.",
            "reqps",
            (
                Query(
                    f'sum by (replica) (rate(http_requests_total{{{_EDGE},status="5xx"}}{_RATE}))',
                    "{{replica}}",
                ),
            ),
        ),
        Panel(
            11,
            "Busy threads",
            "Share of a replica's worker threads that hold a connection.",
            "percentunit",
            (
                Query(
                    f"http_worker_threads_busy{{{_EDGE}}} / http_worker_threads{{{_EDGE}}}",
                    "{{replica}}",
                ),
            ),
        ),
        Panel(
            12,
            "Waiting connections",
            "Connections with data that no thread is free for.",
            "short",
            (
                Query(
                    f"sum by (replica) (http_worker_queued_connections{{{_EDGE}}})", "{{replica}}"
                ),
            ),
        ),
        Panel(
            13,
            "CPU by replica",
            "Processor seconds a second that each container used.",
            "percentunit",
            (
                Query(
                    f"sum by (replica) (rate(container_cpu_seconds_total{{{_EDGE}}}{_RATE}))",
                    "{{replica}}",
                ),
            ),
        ),
        Panel(
            14,
            "Memory by replica",
            "Memory of each container without the page cache.",
            "bytes",
            (Query(f"sum by (replica) (container_memory_bytes{{{_EDGE}}})", "{{replica}}"),),
        ),
    ),
    (SERVICE,),
    (_DEPLOYED, _DEPLOYS, _ALERTS),
)

ROLLOUT = Board(
    "py-cicd-rollout",
    "Rollout",
    "The old release and the new one side by side while one takes over from the other.",
    (
        Panel(
            1,
            "Replicas by release",
            "Replicas that answer, by release and track: a candidate is here before it takes traffic.",
            "short",
            (
                Query(
                    f'sum by (service, release, track) (up{{job="replicas",{_EDGE}}})',
                    "{{service}} {{release}} {{track}}",
                ),
            ),
        ),
        Panel(
            2,
            "Traffic by release",
            "Share of the requests that each release answered.",
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
            "Share of a release's requests that were answered with a 5xx.",
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
            "99 % of a release's requests are faster.",
            "s",
            (
                Query(
                    _quantile(0.99, "edge_request_duration_seconds", "release", _EDGE),
                    "{{release}}",
                ),
            ),
        ),
        Panel(
            5,
            "Traffic by host",
            "Which release each host's edge sends its requests to.",
            "reqps",
            (
                Query(
                    f"sum by (host, release) (rate(edge_requests_total{{{_EDGE}}}{_RATE}))",
                    "{{host}} {{release}}",
                ),
            ),
        ),
        Panel(
            6,
            "Starts",
            "Replicas' containers that were started within the last quarter of an hour.",
            "short",
            (
                Query(
                    f'sum by (release) (time() - container_start_time_seconds{{kind="replica",{_EDGE}}} < bool 900)',
                    "{{release}}",
                ),
            ),
        ),
        Panel(
            7,
            "What runs",
            "Release, revision and image of each replica.",
            "short",
            (
                Query(
                    f"max by (service, release, revision, image, host, replica, track) (service_build_info{{{_EDGE}}})",
                    "{{replica}}",
                ),
            ),
            "table",
        ),
    ),
    (SERVICE,),
    (_DEPLOYED, _DEPLOYS, _PHASES, _ALERTS),
    "now-15m",
)

_ON = 'host=~"$host"'
FLEET = Board(
    "py-cicd-fleet",
    "Fleet",
    "Hosts, their engines, disks and edges.",
    (
        Panel(
            1,
            "Hosts",
            "Hosts whose metrics arrive.",
            "short",
            (Query(f'sum (up{{job="hosts",{_ON}}})', "hosts"),),
            "stat",
        ),
        Panel(
            2,
            "Engines",
            "Docker engines that answer.",
            "short",
            (Query(f"sum (engine_up{{{_ON}}})", "engines"),),
            "stat",
        ),
        Panel(
            3,
            "Edges",
            "Edges that answer.",
            "short",
            (Query(f"sum (nginx_up{{{_ON}}})", "edges"),),
            "stat",
        ),
        Panel(
            4,
            "Certificate",
            "Time until the first of the hosts' certificates ends.",
            "s",
            (
                Query(
                    f"min (host_certificate_expiry_timestamp_seconds{{{_ON}}}) - time()",
                    "first to end",
                ),
            ),
            "stat",
        ),
        Panel(
            5,
            "CPU",
            "Share of each host's processors in use.",
            "percentunit",
            (
                Query(
                    f'1 - avg by (host) (rate(node_cpu_seconds_total{{mode="idle",{_ON}}}{_RATE}))',
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
                    f"1 - node_memory_MemAvailable_bytes{{{_ON}}} / node_memory_MemTotal_bytes{{{_ON}}}",
                    "{{host}}",
                ),
            ),
        ),
        Panel(
            7,
            "Engine's disk",
            "Share that is free where the engine keeps its data.",
            "percentunit",
            (
                Query(
                    f"engine_disk_available_bytes{{{_ON}}} / engine_disk_size_bytes{{{_ON}}}",
                    "{{host}}",
                ),
            ),
        ),
        Panel(
            8,
            "What fills it",
            "What each engine holds, by kind.",
            "bytes",
            (Query(f"sum by (host, kind) (engine_disk_used_bytes{{{_ON}}})", "{{host}} {{kind}}"),),
        ),
        Panel(
            9,
            "Connections",
            "Clients' connections to each edge, by what they do.",
            "short",
            (
                Query(
                    f'sum by (host, state) (nginx_connections{{state!="active",{_ON}}})',
                    "{{host}} {{state}}",
                ),
            ),
        ),
        Panel(
            10,
            "Edge's requests",
            "Requests a second of each edge, health checks included.",
            "reqps",
            (Query(f"sum by (host) (rate(nginx_requests_total{{{_ON}}}{_RATE}))", "{{host}}"),),
        ),
        Panel(
            11,
            "Network",
            "Bytes a second that each host received.",
            "Bps",
            (
                Query(
                    f"sum by (host) (rate(node_network_receive_bytes_total{{{_ON}}}{_RATE}))",
                    "{{host}}",
                ),
            ),
        ),
        Panel(
            12,
            "Containers that run",
            "Containers that the deploy tool started, by kind.",
            "short",
            (Query(f"sum by (host, kind) (container_running{{{_ON}}})", "{{host}} {{kind}}"),),
        ),
    ),
    (HOST,),
    (_ALERTS,),
)

_BUDGET = f"(1 - {slo.AVAILABILITY:g})"
BUDGET = Board(
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
            (Query(f"1 - {errors('3d')}{{{_EDGE}}}", "{{service}}"),),
            "stat",
        ),
        Panel(
            2,
            "Fast enough, 3 days",
            "Share of requests within 250 ms.",
            "percentunit",
            (Query(f"1 - {slow('3d')}{{{_EDGE}}}", "{{service}}"),),
            "stat",
        ),
        Panel(
            3,
            "Error budget left",
            "What is left of the allowed errors if the period's other days are like the last three.",
            "percentunit",
            (Query(f"1 - {errors('3d')}{{{_EDGE}}} / {_BUDGET}", "{{service}}"),),
            "stat",
        ),
        Panel(
            4,
            "Requests, 1 hour",
            "Requests a second over an hour.",
            "reqps",
            (Query(f"{traffic('1h')}{{{_EDGE}}}", "{{service}}"),),
            "stat",
        ),
        Panel(
            5,
            "Burn rate of errors",
            "How many times as fast as allowed the error budget is burnt; 14.4 over an hour pages.",
            "short",
            tuple(
                Query(f"{errors(window)}{{{_EDGE}}} / {_BUDGET}", f"{{{{service}}}} {window}")
                for window in ("5m", "1h", "6h")
            ),
        ),
        Panel(
            6,
            "Burn rate of slowness",
            "The same for requests over 250 ms.",
            "short",
            tuple(
                Query(
                    f"{slow(window)}{{{_EDGE}}} / (1 - {slo.LATENCY:g})",
                    f"{{{{service}}}} {window}",
                )
                for window in ("5m", "1h", "6h")
            ),
        ),
        Panel(
            7,
            "Alerts that fire",
            "By name; each has a runbook in docs/runbooks.",
            "short",
            (
                Query(
                    'count by (alertname, severity) (ALERTS{alertstate="firing"})', "{{alertname}}"
                ),
            ),
            "table",
        ),
    ),
    (SERVICE,),
    (_DEPLOYED, _DEPLOYS, _ALERTS),
    "now-6h",
)

_TRIED = 'environment=~"$environment"'
JOURNEYS = Board(
    "py-cicd-journeys",
    "Journeys and web vitals",
    "What browsers found when they did what users do.",
    (
        Panel(
            1,
            "Failed journeys",
            "Of the last run.",
            "short",
            (
                Query(
                    f"max by (environment, suite) (e2e_failed_journeys{{{_TRIED}}})",
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
                    f"max by (environment, suite) (e2e_journeys{{{_TRIED}}})",
                    "{{environment}} {{suite}}",
                ),
            ),
            "stat",
        ),
        Panel(
            3,
            "Since the last green run",
            "Nobody has proven since then that all journeys work.",
            "s",
            (
                Query(
                    f"time() - max by (environment, suite) (e2e_last_success_timestamp_seconds{{{_TRIED}}})",
                    "{{environment}} {{suite}}",
                ),
            ),
            "stat",
        ),
        Panel(
            4,
            "Duration of the run",
            "From the first journey's begin to the last one's end.",
            "s",
            (
                Query(
                    f"max by (environment, suite) (e2e_run_duration_seconds{{{_TRIED}}})",
                    "{{environment}} {{suite}}",
                ),
            ),
            "stat",
        ),
        Panel(
            5,
            "Journeys' outcome",
            "1 passed, 0 failed.",
            "short",
            (Query(f"max by (journey) (e2e_journey_success{{{_TRIED}}})", "{{journey}}"),),
        ),
        Panel(
            6,
            "Journeys' duration",
            "How long each took.",
            "s",
            (Query(f"max by (journey) (e2e_journey_duration_seconds{{{_TRIED}}})", "{{journey}}"),),
        ),
        Panel(
            7,
            "Largest contentful paint",
            "When the main thing of a page was painted; good below 2.5 s.",
            "s",
            (Query(f'max by (page) (e2e_web_vital_seconds{{vital="lcp",{_TRIED}}})', "{{page}}"),),
        ),
        Panel(
            8,
            "Time to first byte",
            "When a page's first byte came; good below 0.8 s.",
            "s",
            (Query(f'max by (page) (e2e_web_vital_seconds{{vital="ttfb",{_TRIED}}})', "{{page}}"),),
        ),
        Panel(
            9,
            "Interaction to next paint",
            "How long a page took to show that it was touched; good below 0.2 s.",
            "s",
            (Query(f'max by (page) (e2e_web_vital_seconds{{vital="inp",{_TRIED}}})', "{{page}}"),),
        ),
        Panel(
            10,
            "Layout shift",
            "How much a page jumped while it loaded; good below 0.1.",
            "short",
            (Query(f"max by (page) (e2e_layout_shift{{{_TRIED}}})", "{{page}}"),),
        ),
    ),
    (ENVIRONMENT,),
    (_ALERTS,),
    "now-6h",
)

_OWN = _EDGE + ',environment=~"$environment"'
DORA = Board(
    "py-cicd-delivery",
    "Delivery",
    "How often, how fast and how safely changes reach users: the four keys of DORA, from the hosts' records.",
    (
        Panel(
            1,
            "Deploys a day",
            "Deploys that went live, over 30 days.",
            "short",
            (Query(f"max by (service) (ship_dora_deploys_per_day{{{_OWN}}})", "{{service}}"),),
            "stat",
        ),
        Panel(
            2,
            "Lead time",
            "From a commit to the moment at which it is live: half of the deploys were faster.",
            "s",
            (Query(f"max by (service) (ship_dora_lead_time_seconds{{{_OWN}}})", "{{service}}"),),
            "stat",
        ),
        Panel(
            3,
            "Change failure rate",
            "Share of deploys that were taken back, by themselves or by a rollback.",
            "percentunit",
            (
                Query(
                    f"max by (service) (ship_dora_change_failure_ratio{{{_OWN}}})",
                    "{{service}}",
                ),
            ),
            "stat",
        ),
        Panel(
            4,
            "Time to restore",
            "From a failed release's end or a rollback's cause to the next one that was verified: half were faster.",
            "s",
            (Query(f"max by (service) (ship_dora_restore_seconds{{{_OWN}}})", "{{service}}"),),
            "stat",
        ),
        Panel(
            5,
            "Duration of the last deploy",
            "From its begin to its end, by verb.",
            "s",
            (
                Query(
                    f"max by (service, verb) (ship_deploy_seconds{{{_OWN}}})",
                    "{{service}} {{verb}}",
                ),
            ),
        ),
        Panel(
            6,
            "Phases of the last deploy",
            "Where its time went. One that was held is two: deploy until the hold, promote from then on.",
            "s",
            (
                Query(
                    f'max by (service, verb, phase) (ship_deploy_phase_seconds{{verb=~"deploy|promote",{_OWN}}})',
                    "{{service}} {{verb}} {{phase}}",
                ),
            ),
        ),
        Panel(
            7,
            "How the last one ended",
            "The outcome of the last operation, by verb.",
            "short",
            (
                Query(
                    f"max by (service, verb, outcome) (ship_deploy_outcome{{{_OWN}}}) == 1",
                    "{{service}} {{verb}} {{outcome}}",
                ),
            ),
            "table",
        ),
    ),
    (SERVICE, DEPLOYED_TO),
    (_DEPLOYED, _DEPLOYS),
    "now-30d",
)

BOARDS = (OVERVIEW, ROLLOUT, FLEET, BUDGET, JOURNEYS, DORA)
