"""Test cases of all rules: input series and the alerts or values that promtool must find."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from observability import rules, slo
from observability.rules import AlertRule, RecordingRule, Rule, seconds

type Labels = Mapping[str, str]


@dataclass(frozen=True)
class Expectation:
    """Expected at a time: the alerts that fire, or the value of a recorded series.

    `firing` has the labels of each alert, without those that the rule adds.
    """

    at_s: float
    firing: tuple[Labels, ...] = ()
    value: float | None = None
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True)
class RuleCase:
    """Input series in promtool's notation, one value every `step_s`, and the expected results."""

    series: Mapping[str, str]
    expected: tuple[Expectation, ...]
    step_s: int = 60


def _steady(rule: AlertRule, series: Mapping[str, float], *firing: Labels) -> RuleCase:
    """Constant series: the alert must fire after its pending time but not before, or not at all."""
    pending_s = seconds(rule.pending_for)
    late = Expectation(pending_s * 1.5 or 120, firing)
    expected = (Expectation(pending_s * 0.75), late) if firing and pending_s else (late,)
    step_s = int(max(pending_s / 4, 15))
    return RuleCase({name: f"{value!r}+0x20" for name, value in series.items()}, expected, step_s)


def cases_of(rule: Rule) -> tuple[RuleCase, ...]:
    """Returns the cases of a rule. Raises KeyError if it has none."""
    if isinstance(rule, RecordingRule):
        return (_recording_case(rule),)
    if "BudgetBurns" in rule.name:
        return _budget_cases(rule)
    return _ALERTS[(rule.name, rule.labels.get("what", ""))](rule)


def _budget_cases(rule: AlertRule) -> tuple[RuleCase, ...]:
    burn = next(burn for burn in slo.BURN_RATES if burn.long == rule.labels["window"])
    available = rule.name.startswith("Availability")
    ratio = rules.errors if available else rules.slow
    limit = burn.factor * (1 - (slo.AVAILABILITY if available else slo.LATENCY))

    def state(long: float, short: float, requests: float) -> dict[str, float]:
        return {
            f'{ratio(burn.long)}{{service="app"}}': limit * long,
            f'{ratio(burn.short)}{{service="app"}}': limit * short,
            f'{rules.traffic(burn.long)}{{service="app"}}': (
                slo.MIN_REQUESTS * requests / seconds(burn.long)
            ),
        }

    return (
        _steady(rule, state(1.1, 1.1, 1.1), {"service": "app"}),
        _steady(rule, state(0.9, 1.1, 1.1)),
        _steady(rule, state(1.1, 0.9, 1.1)),
        _steady(rule, state(1.1, 1.1, 0.9)),
    )


def _recording_case(rule: RecordingRule) -> RuleCase:
    """Counters whose growth varies from step to step, so that any other window gives another value."""
    match = re.search(r"\[(\w+)\]", rule.expr)
    assert match is not None
    window_s = seconds(match[1])
    step_s = 60 if window_s <= seconds("2h") else 1800
    count = int(2 * window_s / step_s) + 2
    # The increase of each counter in a step, by the step's age in steps.
    increases: dict[str, Callable[[int], int]] = {
        "5xx": lambda age: 1 + age // 3 % 50,
        "2xx": lambda age: 40 + age % 7,
        "4xx": lambda age: 5 + age % 3,
    }
    users = 'service="app",origin="users"'
    series = {
        f'edge_requests_total{{{labels},status="{status}"}}': _counter(increase, count)
        for status, increase in increases.items()
        for labels in (
            f'{users},release="r1",host="one"',
            f'{users},release="r2",host="two"',
        )
    }
    # What the tool sends itself changes no value.
    series |= {
        f'edge_requests_total{{service="app",release="r1",origin="gate",status="{status}"}}': _counter(
            lambda age: 70 + age % 5, count
        )
        for status in ("2xx", "5xx")
    }
    bucket_increases: dict[str, Callable[[int], int]] = {
        "0.1": lambda age: 10 + age % 5,
        "0.25": lambda age: 40 + age % 5,
        "+Inf": lambda age: 50 + age // 2 % 40,
    }
    series |= {
        f'edge_request_duration_seconds_bucket{{{users},release="r1",le="{le}"}}': _counter(
            increase, count
        )
        for le, increase in bucket_increases.items()
    }
    series[f'edge_request_duration_seconds_count{{{users},release="r1"}}'] = _counter(
        bucket_increases["+Inf"], count
    )
    gate = 'service="app",release="r1",origin="gate"'
    for name in (f'bucket{{{gate},le="0.25"}}', f"count{{{gate}}}"):
        series[f"edge_request_duration_seconds_{name}"] = _counter(lambda age: 90 - age % 7, count)
    # A window excludes its left end, so it has one step less than its length.
    ages = range(int(window_s / step_s) - 1)
    totals = {
        status: 2 * sum(increase(age) for age in ages) for status, increase in increases.items()
    }
    fast = sum(bucket_increases["0.25"](age) for age in ages)
    timed = sum(bucket_increases["+Inf"](age) for age in ages)
    requests = sum(totals.values())
    expected = {
        "edge_errors": totals["5xx"] / requests,
        "edge_slow": 1 - fast / timed,
        # rate() extrapolates to the whole window.
        "edge_requests": requests / (len(ages) * step_s),
    }[rule.record.split(":")[1]]
    value = Expectation((count - 1) * step_s, value=expected, labels={"service": "app"})
    return RuleCase(series, (value,), step_s)


def _counter(increase: Callable[[int], int], count: int) -> str:
    value, values = 10_000_000, []
    for age in reversed(range(count)):
        values.append(str(value))
        value += increase(age - 1) if age else 0
    return " ".join(values)


HOST = {"host": "one"}
APP = {"service": "app", "host": "one"}


def _up(replicas: Mapping[str, float], **labels: str) -> dict[str, float]:
    all_labels = {
        "job": "replicas",
        "track": "stable",
        "service": "app",
        "host": "one",
        "release": "r1",
        **labels,
    }
    text = ",".join(f'{name}="{value}"' for name, value in all_labels.items())
    return {f'up{{{text},replica="{replica}"}}': value for replica, value in replicas.items()}


def _missing(rule: AlertRule) -> tuple[RuleCase, ...]:
    return (
        _steady(rule, _up({"a": 1, "b": 0, "c": 0}), APP),
        _steady(rule, _up({"a": 1, "b": 1})),
        _steady(rule, _up({"a": 0}, track="candidate")),
        _steady(rule, _up({"a": 0}, job="other")),
    )


def _flapping(rule: AlertRule) -> tuple[RuleCase, ...]:
    def started(minutes_ago: tuple[int, ...], kind: str = "replica") -> dict[str, str]:
        """Returns an hour of start times that changed this many minutes before its end."""
        values = " ".join(
            str(sum(60 - age <= minute for age in minutes_ago)) for minute in range(61)
        )
        return {f'container_start_time_seconds{{kind="{kind}",replica="a",host="one"}}': values}

    fires = Expectation(3600, ({"kind": "replica", "replica": "a", "host": "one"},))
    return (
        RuleCase(started((1, 5, 13)), (fires,)),
        RuleCase(started((1, 5)), (Expectation(3600),)),
        RuleCase(started((1, 17, 25)), (Expectation(3600),)),
        RuleCase(started((1, 5, 9, 13), kind="edge"), (Expectation(3600),)),
    )


def _memory(rule: AlertRule) -> tuple[RuleCase, ...]:
    def used(share: float, kind: str = "replica") -> dict[str, float]:
        labels = f'{{kind="{kind}",replica="a",host="one"}}'
        return {
            f"container_memory_bytes{labels}": share * 256,
            f"container_memory_limit_bytes{labels}": 256,
        }

    return (
        _steady(rule, used(0.95), {"kind": "replica", "replica": "a", "host": "one"}),
        _steady(rule, used(0.85)),
        _steady(rule, used(0.95, kind="edge")),
    )


def _saturated(rule: AlertRule) -> tuple[RuleCase, ...]:
    def queued(count: float, track: str = "stable") -> dict[str, float]:
        return {
            f'http_worker_queued_connections{{track="{track}",service="app",host="one"}}': count
        }

    return (
        _steady(rule, queued(1), APP),
        _steady(rule, queued(0)),
        _steady(rule, queued(9, track="candidate")),
    )


def _stuck_candidate(rule: AlertRule) -> tuple[RuleCase, ...]:
    return (
        _steady(rule, _up({"a": 1, "b": 0}, track="candidate"), {**APP, "release": "r1"}),
        _steady(rule, _up({"a": 1})),
        _steady(rule, _up({"a": 1}, track="candidate", job="other")),
    )


def _stuck_mixed(rule: AlertRule) -> tuple[RuleCase, ...]:
    one = _up({"a": 1, "b": 1})
    return (
        _steady(rule, {**one, **_up({"c": 1}, host="two", release="r2")}, {"service": "app"}),
        _steady(rule, {**one, **_up({"c": 1}, host="two")}),
        _steady(rule, {**one, **_up({"c": 1}, release="r2", track="candidate")}),
        _steady(rule, {**one, **_up({"c": 1}, release="r2", job="other")}),
    )


def _no_host(rule: AlertRule) -> tuple[RuleCase, ...]:
    return (
        _steady(rule, {'up{job="hosts",host="one"}': 0}, {"job": "hosts", "host": "one"}),
        _steady(rule, {'up{job="hosts",host="one"}': 1}),
        _steady(rule, {'up{job="node",host="one"}': 0}),
    )


def _no_exporter(rule: AlertRule) -> tuple[RuleCase, ...]:
    return (
        _steady(rule, {'up{job="node",host="one"}': 0}, {"job": "node", "host": "one"}),
        _steady(rule, {'up{job="exporter",host="one"}': 0}, {"job": "exporter", "host": "one"}),
        _steady(rule, {'up{job="node",host="one"}': 1, 'up{job="exporter",host="one"}': 1}),
        _steady(rule, {'up{job="replicas",host="one"}': 0}),
    )


def _no_service(rule: AlertRule) -> tuple[RuleCase, ...]:
    def runs(value: float, kind: str = "replica") -> dict[str, float]:
        return {
            f'container_running{{kind="{kind}",service="app",host="one",replica="{replica}"}}': value
            for replica in "ab"
        }

    return (
        _steady(rule, runs(1), APP),
        _steady(rule, runs(0)),
        _steady(rule, runs(1, kind="edge")),
        _steady(rule, {**runs(1), **_up({"a": 0})}),
        # Series of another job don't count as scrapes of the replicas.
        _steady(rule, {**runs(1), **_up({"a": 1}, job="other")}, APP),
    )


def _zero(metric: str) -> Callable[[AlertRule], tuple[RuleCase, ...]]:
    def cases(rule: AlertRule) -> tuple[RuleCase, ...]:
        labelled = f'{metric}{{host="one"}}'
        return (_steady(rule, {labelled: 0}, HOST), _steady(rule, {labelled: 1}))

    return cases


_FREE = 'engine_disk_available_bytes{host="one"}'
_SIZE = 'engine_disk_size_bytes{host="one"}'


def _filling(rule: AlertRule) -> tuple[RuleCase, ...]:
    """The free share of a disk over 30 hours, from points (hour, percent); a value every ten minutes."""

    def disk(*points: tuple[float, float]) -> dict[str, str]:
        values = [_interpolate(points, minute / 60) for minute in range(0, 1810, 10)]
        return {_FREE: " ".join(f"{value:.4f}" for value in values), _SIZE: "100+0x181"}

    def expect(*hours: tuple[float, bool]) -> tuple[Expectation, ...]:
        return tuple(Expectation(hour * 3600, (HOST,) if fires else ()) for hour, fires in hours)

    return (
        # 1.1 % per hour: below 25 % after 20.9 h, and full within a day.
        RuleCase(disk((0, 48), (30, 15)), expect((20.5, False), (21 + 2 / 3, True)), 600),
        # 1.02 % per hour: full within a day only from 21.2 h on.
        RuleCase(disk((0, 46.1), (30, 15.5)), expect((21 + 2 / 3, False), (22, True)), 600),
        # 0.9 % per hour: below 25 % as well, but it lasts longer than a day.
        RuleCase(disk((0, 43.44), (30, 16.44)), expect((21 + 2 / 3, False)), 600),
        # After a long constant period four hours of fast growth don't fire; six do.
        RuleCase(disk((0, 24), (20, 24), (24, 20.32)), expect((24, False)), 600),
        RuleCase(disk((0, 24.9), (20, 24.9), (26, 18.9)), expect((26, True)), 600),
    )


def _interpolate(points: tuple[tuple[float, float], ...], hour: float) -> float:
    for (left, first), (right, last) in pairwise(points):
        if left <= hour <= right:
            return first + (last - first) * (hour - left) / (right - left)
    return points[-1][1]


def _full(rule: AlertRule) -> tuple[RuleCase, ...]:
    return (
        _steady(rule, {_FREE: 4.5, _SIZE: 100}, HOST),
        _steady(rule, {_FREE: 5.5, _SIZE: 100}),
    )


def _certificate(limit_s: float) -> Callable[[AlertRule], tuple[RuleCase, ...]]:
    def cases(rule: AlertRule) -> tuple[RuleCase, ...]:
        name = 'host_certificate_expiry_timestamp_seconds{host="one",certificate="metrics"}'
        fires = {"host": "one", "certificate": "metrics"}
        return (_steady(rule, {name: 0.9 * limit_s}, fires), _steady(rule, {name: 1.1 * limit_s}))

    return cases


def _login(rule: AlertRule) -> tuple[RuleCase, ...]:
    name, limit = 'host_registry_login_timestamp_seconds{host="one"}', 30 * 86400
    return (_steady(rule, {name: -1.1 * limit}, HOST), _steady(rule, {name: -0.9 * limit}))


def _journeys(rule: AlertRule) -> tuple[RuleCase, ...]:
    name, fires = (
        'e2e_failed_journeys{environment="blue",suite="journeys"}',
        {"environment": "blue", "suite": "journeys"},
    )
    return (_steady(rule, {name: 1}, fires), _steady(rule, {name: 0}))


def _stale(rule: AlertRule) -> tuple[RuleCase, ...]:
    name = 'e2e_last_success_timestamp_seconds{environment="blue",suite="journeys"}'
    monitored = 'e2e_monitored{environment="blue",suite="journeys"}'
    fires = {"environment": "blue", "suite": "journeys"}
    return (
        _steady(rule, {name: -1.1 * 3600, monitored: 1}, fires),
        _steady(rule, {name: -0.8 * 3600, monitored: 1}),
        _steady(rule, {name: -1.1 * 3600}),  # nobody runs a monitor
    )


_ALERTS: dict[tuple[str, str], Callable[[AlertRule], tuple[RuleCase, ...]]] = {
    ("ReplicasMissing", ""): _missing,
    ("ReplicaFlapping", ""): _flapping,
    ("ReplicaNearMemoryLimit", ""): _memory,
    ("WorkersSaturated", ""): _saturated,
    ("DeployStuck", "candidate"): _stuck_candidate,
    ("DeployStuck", "mixed"): _stuck_mixed,
    ("MetricsMissing", "host"): _no_host,
    ("MetricsMissing", "exporter"): _no_exporter,
    ("MetricsMissing", "service"): _no_service,
    ("EdgeDown", ""): _zero("nginx_up"),
    ("EdgeStateUnreadable", ""): _zero("watchdog_routes_readable"),
    ("EngineDown", ""): _zero("engine_up"),
    ("DiskFilling", ""): _filling,
    ("DiskFull", ""): _full,
    ("CertificateExpires", "soon"): _certificate(21 * 86400),
    ("CertificateExpires", "now"): _certificate(3 * 86400),
    ("RegistryLoginOld", ""): _login,
    ("JourneysFail", ""): _journeys,
    ("JourneysStale", ""): _stale,
}
