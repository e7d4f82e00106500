"""Fifteen minutes of sample traffic, and the values that each panel must show for it.

Service `app` has release r1 with five stable replicas and release r2 with one candidate, which starts after ten
minutes. Each replica serves 2 good and 0.1 failed requests per second. Of users the edge counts 9 good and 1 failed
per second for r1, and 2.5 good ones for r2. 90 % of those to r1 take up to 100 ms and the rest up to a second; all of
those to r2 take up to 100 ms. The gate sends both releases two a second, which are slow and fail every fourth time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

STEP_S = 15
DURATION_S = 900

type Labels = str
type Curve = Callable[[float], float | None]
"""Maps seconds since the start to a value, or None while the series doesn't exist."""
CANDIDATE_STARTS_S = 600

_R1 = 'service="app",release="r1"'
_R2 = 'service="app",release="r2"'


def _constant(value: float) -> Curve:
    return lambda _: value


def _constant_from(start_s: float, value: float) -> Curve:
    return lambda seconds: value if seconds >= start_s else None


def _counter(per_second: float) -> Curve:
    return lambda seconds: 10_000 + per_second * seconds


def series(end: float) -> dict[str, Curve]:
    """Returns every series by its name with labels. `end` is the last sample's Unix time."""
    all_series: dict[str, Curve] = {}
    edge = 'service="app",host="one",job="exporter",origin="users"'
    # The gate compares both releases, and every fourth of its requests fails.
    for release in ("r1", "r2"):
        gate = f'service="app",host="one",job="exporter",origin="gate",release="{release}"'
        all_series[f'edge_requests_total{{{gate},status="2xx"}}'] = _counter(1.5)
        all_series[f'edge_requests_total{{{gate},status="5xx"}}'] = _counter(0.5)
        for le in ("0.1", "0.25", "1.0", "+Inf"):
            bucket = f'edge_request_duration_seconds_bucket{{{gate},le="{le}"}}'
            all_series[bucket] = _counter(2.0 if le == "+Inf" else 0.0)
        all_series[f"edge_request_duration_seconds_count{{{gate}}}"] = _counter(2.0)
    for release, status, per_second in (
        ("r1", "2xx", 9.0),
        ("r1", "5xx", 1.0),
        ("r2", "2xx", 2.5),
        ("r2", "5xx", 0.0),
    ):
        labels = f'{edge},release="{release}",status="{status}"'
        all_series[f"edge_requests_total{{{labels}}}"] = _counter(per_second)
    for release, buckets in (
        ("r1", {"0.1": 9.0, "0.25": 9.0, "1.0": 10.0, "+Inf": 10.0}),
        ("r2", {"0.1": 2.5, "0.25": 2.5, "1.0": 2.5, "+Inf": 2.5}),
    ):
        labels = f'{edge},release="{release}"'
        for le, per_second in buckets.items():
            all_series[f'edge_request_duration_seconds_bucket{{{labels},le="{le}"}}'] = _counter(
                per_second
            )
        all_series[f"edge_request_duration_seconds_count{{{labels}}}"] = _counter(buckets["+Inf"])
    for number in range(1, 6):
        all_series |= _replica(f"app-r1-{number}", _R1, "stable", end)
    all_series |= _replica("app-r2-1", _R2, "candidate", end)
    all_series |= _host(end)
    all_series |= _recorded()
    all_series |= _pushed(end)
    return all_series


def _replica(name: str, release: str, track: str, end: float) -> dict[str, Curve]:
    identity = f'{release},replica="{name}",host="one"'
    scraped = f'{identity},job="replicas",track="{track}"'
    container = f'{identity},container="{name}",kind="replica",job="exporter"'
    route = f'{scraped},route="/",method="GET"'
    return {
        f"up{{{scraped}}}": _constant_from(CANDIDATE_STARTS_S if track == "candidate" else 0, 1),
        f'http_requests_total{{{route},status="2xx"}}': _counter(2),
        f'http_requests_total{{{route},status="5xx"}}': _counter(0.1),
        f'http_request_duration_seconds_bucket{{{route},le="0.1"}}': _counter(2.1),
        f'http_request_duration_seconds_bucket{{{route},le="+Inf"}}': _counter(2.1),
        f"http_worker_threads{{{scraped}}}": _constant(8),
        f"http_worker_threads_busy{{{scraped}}}": _constant(2),
        f"http_worker_queued_connections{{{scraped}}}": _constant(3),
        f'service_build_info{{{scraped},revision="abc",image="app@sha256:1"}}': _constant(1),
        f"container_cpu_seconds_total{{{container}}}": _counter(0.25),
        f"container_memory_bytes{{{container}}}": _constant(50e6),
        f"container_running{{{container}}}": _constant(1),
        f"container_start_time_seconds{{{container}}}": _constant(
            end - (600 if track == "candidate" else 86400)
        ),
    }


def _host(end: float) -> dict[str, Curve]:
    node, exporter = 'host="one",job="node"', 'host="one",job="exporter"'
    return {
        'up{job="hosts",host="one"}': _constant(1),
        f"engine_up{{{exporter}}}": _constant(1),
        f"nginx_up{{{exporter}}}": _constant(1),
        f'host_certificate_expiry_timestamp_seconds{{{exporter},certificate="metrics"}}': _constant(
            end + 1e6
        ),
        f'node_cpu_seconds_total{{{node},mode="idle",cpu="0"}}': _counter(0.75),
        f'node_cpu_seconds_total{{{node},mode="idle",cpu="1"}}': _counter(0.25),
        f'node_cpu_seconds_total{{{node},mode="user",cpu="0"}}': _counter(0.25),
        f"node_memory_MemAvailable_bytes{{{node}}}": _constant(1e9),
        f"node_memory_MemTotal_bytes{{{node}}}": _constant(4e9),
        f"engine_disk_available_bytes{{{exporter}}}": _constant(30e9),
        f"engine_disk_size_bytes{{{exporter}}}": _constant(100e9),
        f'engine_disk_used_bytes{{{exporter},kind="images"}}': _constant(7e9),
        f'nginx_connections{{{exporter},state="active"}}': _constant(9),
        f'nginx_connections{{{exporter},state="waiting"}}': _constant(8),
        f"nginx_requests_total{{{exporter}}}": _counter(13),
        f'node_network_receive_bytes_total{{{node},device="eth0"}}': _counter(1000),
        'ALERTS{alertname="EdgeDown",alertstate="firing",severity="critical",host="one"}': _constant(
            1
        ),
        'ALERTS{alertname="DiskFull",alertstate="pending",severity="critical",host="one"}': _constant(
            1
        ),
    }


def _recorded() -> dict[str, Curve]:
    shares = {"5m": 0.002, "1h": 0.001, "6h": 0.0005, "3d": 0.0004}
    return {
        **{
            f'service:edge_errors:ratio_rate{window}{{service="app"}}': _constant(share)
            for window, share in shares.items()
        },
        **{
            f'service:edge_slow:ratio_rate{window}{{service="app"}}': _constant(share * 10)
            for window, share in shares.items()
        },
        'service:edge_requests:rate1h{service="app"}': _constant(12.5),
    }


def _pushed(end: float) -> dict[str, Curve]:
    run = 'environment="blue",suite="journeys",job="e2e"'
    keys = 'environment="blue",service="app",job="ship-dora"'
    deploy = 'environment="blue",service="app",job="ship"'
    vital = 'page="/",environment="blue",suite="journeys",job="e2e"'
    return {
        f"e2e_failed_journeys{{{run}}}": _constant(2),
        f"e2e_journeys{{{run}}}": _constant(20),
        f"e2e_last_success_timestamp_seconds{{{run}}}": _constant(end - 500),
        f"e2e_run_duration_seconds{{{run}}}": _constant(14),
        f'e2e_journey_success{{{run},journey="walk"}}': _constant(0),
        f'e2e_journey_duration_seconds{{{run},journey="walk"}}': _constant(1.5),
        f'e2e_web_vital_seconds{{{vital},vital="lcp"}}': _constant(0.4),
        f'e2e_web_vital_seconds{{{vital},vital="ttfb"}}': _constant(0.1),
        f'e2e_web_vital_seconds{{{vital},vital="inp"}}': _constant(0.05),
        f"e2e_layout_shift{{{vital}}}": _constant(0.01),
        f"ship_dora_deploys_per_day{{{keys}}}": _constant(2),
        f"ship_dora_change_failure_ratio{{{keys}}}": _constant(0.25),
        f"ship_dora_lead_time_seconds{{{keys}}}": _constant(3600),
        f"ship_dora_restore_seconds{{{keys}}}": _constant(120),
        **_deploy(f'{deploy},verb="deploy"', 20, "held", {"start": 6, "hold": 1}),
        **_deploy(f'{deploy},verb="promote"', 9, "live", {"switch": 2}),
        **_deploy(f'{deploy},verb="rollback"', 8, "live", {"switch": 3}),
    }


def _deploy(
    labels: Labels, duration_s: float, outcome: str, phases: Mapping[str, float]
) -> dict[str, Curve]:
    """Returns the metrics that one verb pushes at its end.

    A pipeline holds a release with `deploy`, and another job promotes it.
    """
    return {
        f"ship_deploy_seconds{{{labels}}}": _constant(duration_s),
        **{
            f'ship_deploy_outcome{{{labels},outcome="{known}"}}': _constant(float(known == outcome))
            for known in ("live", "reverted", "held", "stuck", "aborted")
        },
        **{
            f'ship_deploy_phase_seconds{{{labels},phase="{phase}"}}': _constant(phase_s)
            for phase, phase_s in phases.items()
        },
    }


def exposition(end: float) -> Iterator[str]:
    """Yields all samples as lines in the OpenMetrics format, from which promtool builds a database."""
    for name, curve in sorted(series(end).items()):
        for second in range(0, DURATION_S + 1, STEP_S):
            if (value := curve(second)) is not None:
                yield f"{name} {value!r} {end - DURATION_S + second:.3f}\n"
    yield "# EOF\n"


EXPECTED_ANNOTATIONS: dict[str, dict[float, list[str]]] = {
    # (annotation, seconds since the start): titles.
    "Releases": {
        CANDIDATE_STARTS_S - STEP_S: [],
        CANDIDATE_STARTS_S: ["app r2: candidate"],
        DURATION_S: [],
    },
    "Alerts": {DURATION_S: ["EdgeDown one"]},
}
_PER_REPLICA = [2.1] * 6
EXPECTED_VALUES: dict[tuple[str, int], list[list[float]]] = {
    # (dashboard, panel): sorted values of the series of each query.
    ("service", 1): [[5]],
    ("service", 2): [[12.5]],
    ("service", 3): [[0.08]],
    ("service", 4): [[0.08]],
    ("service", 5): [[2.5, 10]],
    ("service", 6): [[0, 1]],
    ("service", 7): [[0.05, 0.1 * 5 / 9], [0.099, 0.25 + 0.75 * 0.9]],
    ("service", 8): [[0.099]],
    ("service", 9): [_PER_REPLICA],
    ("service", 10): [[0.1] * 6],
    ("service", 11): [[0.25] * 6],
    ("service", 12): [[3] * 6],
    ("service", 13): [[0.25] * 6],
    ("service", 14): [[50e6] * 6],
    ("service", 15): [[4, 12.5]],
    ("rollout", 1): [[1, 5]],
    ("rollout", 2): [[0.2, 0.8]],
    ("rollout", 3): [[0, 0.1]],
    ("rollout", 4): [[0.099, 0.925]],
    ("rollout", 5): [[2.5, 10]],
    ("rollout", 6): [[0, 1]],
    ("rollout", 7): [[1] * 6],
    ("fleet", 1): [[1]],
    ("fleet", 2): [[1]],
    ("fleet", 3): [[1]],
    ("fleet", 4): [[1e6]],
    ("fleet", 5): [[0.5]],
    ("fleet", 6): [[0.75]],
    ("fleet", 7): [[0.3]],
    ("fleet", 8): [[7e9]],
    ("fleet", 9): [[8]],
    ("fleet", 10): [[13]],
    ("fleet", 11): [[1000]],
    ("fleet", 12): [[6]],
    ("slo", 1): [[0.9996]],
    ("slo", 2): [[0.996]],
    ("slo", 3): [[0.6]],
    ("slo", 4): [[12.5]],
    ("slo", 5): [[2], [1], [0.5]],
    ("slo", 6): [[2], [1], [0.5]],
    ("slo", 7): [[1]],
    ("journeys", 1): [[2]],
    ("journeys", 2): [[20]],
    ("journeys", 3): [[500]],
    ("journeys", 4): [[14]],
    ("journeys", 5): [[0]],
    ("journeys", 6): [[1.5]],
    ("journeys", 7): [[0.4]],
    ("journeys", 8): [[0.1]],
    ("journeys", 9): [[0.05]],
    ("journeys", 10): [[0.01]],
    ("delivery", 1): [[2]],
    ("delivery", 2): [[3600]],
    ("delivery", 3): [[0.25]],
    ("delivery", 4): [[120]],
    ("delivery", 5): [[8, 9, 20]],
    ("delivery", 6): [[1, 2, 6]],
    ("delivery", 7): [[1, 1, 1]],
}
