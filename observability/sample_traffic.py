"""A known quarter of an hour of traffic, and what each panel must show of it; it starts nothing.

Service `app`: release r1 with five stable replicas, each 2 good and 0.1 failed requests a second; release r2 with
one candidate, which came after ten minutes. At the edge r1 has 9 good and 1 failed, r2 2.5 good a second; 90 % of r1's
are within 100 ms, the rest within a second; r2's are all within 100 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

STEP_S = 15
LENGTH_S = 900

type Labels = str
type Curve = Callable[[float], float | None]
"""By seconds since the beginning; None where the series isn't there."""
CANDIDATE_CAME_S = 600

_R1 = 'service="app",release="r1"'
_R2 = 'service="app",release="r2"'


def _flat(value: float) -> Curve:
    return lambda _: value


def _from(begun_s: float, value: float) -> Curve:
    return lambda seconds: value if seconds >= begun_s else None


def _rate(per_second: float) -> Curve:
    return lambda seconds: 10_000 + per_second * seconds


def series(end: float) -> dict[str, Curve]:
    """Returns every series by its name with labels; `end` is now, Unix time."""
    found: dict[str, Curve] = {}
    for release, status, per_second in (
        ("r1", "2xx", 9.0),
        ("r1", "5xx", 1.0),
        ("r2", "2xx", 2.5),
        ("r2", "5xx", 0.0),
    ):
        labels = f'service="app",release="{release}",host="one",job="exporter",status="{status}"'
        found[f"edge_requests_total{{{labels}}}"] = _rate(per_second)
    for release, below in (
        ("r1", {"0.1": 9.0, "0.25": 9.0, "1.0": 10.0, "+Inf": 10.0}),
        ("r2", {"0.1": 2.5, "0.25": 2.5, "1.0": 2.5, "+Inf": 2.5}),
    ):
        labels = f'service="app",release="{release}",host="one",job="exporter"'
        for le, per_second in below.items():
            found[f'edge_request_duration_seconds_bucket{{{labels},le="{le}"}}'] = _rate(per_second)
        found[f"edge_request_duration_seconds_count{{{labels}}}"] = _rate(below["+Inf"])
    for number in range(1, 6):
        found |= _replica(f"app-r1-{number}", _R1, "stable", end)
    found |= _replica("app-r2-1", _R2, "candidate", end)
    found |= _host(end)
    found |= _recorded()
    found |= _pushed(end)
    return found


def _replica(name: str, release: str, track: str, end: float) -> dict[str, Curve]:
    own = f'{release},replica="{name}",host="one"'
    scraped = f'{own},job="replicas",track="{track}"'
    container = f'{own},container="{name}",kind="replica",job="exporter"'
    route = f'{scraped},route="/",method="GET"'
    return {
        f"up{{{scraped}}}": _from(CANDIDATE_CAME_S if track == "candidate" else 0, 1),
        f'http_requests_total{{{route},status="2xx"}}': _rate(2),
        f'http_requests_total{{{route},status="5xx"}}': _rate(0.1),
        f'http_request_duration_seconds_bucket{{{route},le="0.1"}}': _rate(2.1),
        f'http_request_duration_seconds_bucket{{{route},le="+Inf"}}': _rate(2.1),
        f"http_worker_threads{{{scraped}}}": _flat(8),
        f"http_worker_threads_busy{{{scraped}}}": _flat(2),
        f"http_worker_queued_connections{{{scraped}}}": _flat(3),
        f'service_build_info{{{scraped},revision="abc",image="app@sha256:1"}}': _flat(1),
        f"container_cpu_seconds_total{{{container}}}": _rate(0.25),
        f"container_memory_bytes{{{container}}}": _flat(50e6),
        f"container_running{{{container}}}": _flat(1),
        f"container_start_time_seconds{{{container}}}": _flat(
            end - (600 if track == "candidate" else 86400)
        ),
    }


def _host(end: float) -> dict[str, Curve]:
    node, ours = 'host="one",job="node"', 'host="one",job="exporter"'
    return {
        'up{job="hosts",host="one"}': _flat(1),
        f"engine_up{{{ours}}}": _flat(1),
        f"nginx_up{{{ours}}}": _flat(1),
        f'host_certificate_expiry_timestamp_seconds{{{ours},certificate="metrics"}}': _flat(
            end + 1e6
        ),
        f'node_cpu_seconds_total{{{node},mode="idle",cpu="0"}}': _rate(0.75),
        f'node_cpu_seconds_total{{{node},mode="idle",cpu="1"}}': _rate(0.25),
        f'node_cpu_seconds_total{{{node},mode="user",cpu="0"}}': _rate(0.25),
        f"node_memory_MemAvailable_bytes{{{node}}}": _flat(1e9),
        f"node_memory_MemTotal_bytes{{{node}}}": _flat(4e9),
        f"engine_disk_available_bytes{{{ours}}}": _flat(30e9),
        f"engine_disk_size_bytes{{{ours}}}": _flat(100e9),
        f'engine_disk_used_bytes{{{ours},kind="images"}}': _flat(7e9),
        f'nginx_connections{{{ours},state="active"}}': _flat(9),
        f'nginx_connections{{{ours},state="waiting"}}': _flat(8),
        f"nginx_requests_total{{{ours}}}": _rate(13),
        f'node_network_receive_bytes_total{{{node},device="eth0"}}': _rate(1000),
        'ALERTS{alertname="EdgeDown",alertstate="firing",severity="critical",host="one"}': _flat(1),
        'ALERTS{alertname="DiskFull",alertstate="pending",severity="critical",host="one"}': _flat(
            1
        ),
    }


def _recorded() -> dict[str, Curve]:
    shares = {"5m": 0.002, "1h": 0.001, "6h": 0.0005, "3d": 0.0004}
    return {
        **{
            f'service:edge_errors:ratio_rate{each}{{service="app"}}': _flat(share)
            for each, share in shares.items()
        },
        **{
            f'service:edge_slow:ratio_rate{each}{{service="app"}}': _flat(share * 10)
            for each, share in shares.items()
        },
        'service:edge_requests:rate1h{service="app"}': _flat(12.5),
    }


def _pushed(end: float) -> dict[str, Curve]:
    run = 'environment="blue",suite="journeys",job="e2e"'
    keys = 'environment="blue",service="app",job="ship-dora"'
    deploy = 'environment="blue",service="app",job="ship"'
    vital = 'page="/",environment="blue",suite="journeys",job="e2e"'
    return {
        f"e2e_failed_journeys{{{run}}}": _flat(2),
        f"e2e_journeys{{{run}}}": _flat(20),
        f"e2e_last_success_timestamp_seconds{{{run}}}": _flat(end - 500),
        f"e2e_run_duration_seconds{{{run}}}": _flat(14),
        f'e2e_journey_success{{{run},journey="walk"}}': _flat(0),
        f'e2e_journey_duration_seconds{{{run},journey="walk"}}': _flat(1.5),
        f'e2e_web_vital_seconds{{{vital},vital="lcp"}}': _flat(0.4),
        f'e2e_web_vital_seconds{{{vital},vital="ttfb"}}': _flat(0.1),
        f'e2e_web_vital_seconds{{{vital},vital="inp"}}': _flat(0.05),
        f"e2e_layout_shift{{{vital}}}": _flat(0.01),
        f"ship_dora_deploys_per_day{{{keys}}}": _flat(2),
        f"ship_dora_change_failure_ratio{{{keys}}}": _flat(0.25),
        f"ship_dora_lead_time_seconds{{{keys}}}": _flat(3600),
        f"ship_dora_restore_seconds{{{keys}}}": _flat(120),
        **_told(f'{deploy},verb="deploy"', 20, "held", {"start": 6, "hold": 1}),
        **_told(f'{deploy},verb="promote"', 9, "live", {"switch": 2}),
        **_told(f'{deploy},verb="rollback"', 8, "live", {"switch": 3}),
    }


def _told(
    labels: Labels, seconds: float, ended: str, phases: Mapping[str, float]
) -> dict[str, Curve]:
    """What one verb told at its end: a pipeline's deploy is held, and promoted by another job."""
    return {
        f"ship_deploy_seconds{{{labels}}}": _flat(seconds),
        **{
            f'ship_deploy_outcome{{{labels},outcome="{each}"}}': _flat(float(each == ended))
            for each in ("live", "reverted", "held", "stuck", "aborted")
        },
        **{
            f'ship_deploy_phase_seconds{{{labels},phase="{name}"}}': _flat(each)
            for name, each in phases.items()
        },
    }


def exposition(end: float) -> Iterator[str]:
    """Writes all of it in the OpenMetrics format, for promtool to make a database of."""
    for name, curve in sorted(series(end).items()):
        for moment in range(0, LENGTH_S + 1, STEP_S):
            if (value := curve(moment)) is not None:
                yield f"{name} {value!r} {end - LENGTH_S + moment:.3f}\n"
    yield "# EOF\n"


MARKED: dict[str, dict[float, list[str]]] = {
    # By the mark's name: what it says at a moment (seconds since the beginning).
    "Releases": {
        CANDIDATE_CAME_S - STEP_S: [],
        CANDIDATE_CAME_S: ["app r2: candidate"],
        LENGTH_S: [],
    },
    "Alerts": {LENGTH_S: ["EdgeDown one"]},
}
_EACH = [2.1] * 6
SHOWN: dict[tuple[str, int], list[list[float]]] = {
    # (dashboard, panel): for each query the values of its series, in order of size.
    ("service", 1): [[5]],
    ("service", 2): [[12.5]],
    ("service", 3): [[0.08]],
    ("service", 4): [[0.08]],
    ("service", 5): [[2.5, 10]],
    ("service", 6): [[0, 1]],
    ("service", 7): [[0.05, 0.1 * 5 / 9], [0.099, 0.25 + 0.75 * 0.9]],
    ("service", 8): [[0.099]],
    ("service", 9): [_EACH],
    ("service", 10): [[0.1] * 6],
    ("service", 11): [[0.25] * 6],
    ("service", 12): [[3] * 6],
    ("service", 13): [[0.25] * 6],
    ("service", 14): [[50e6] * 6],
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
