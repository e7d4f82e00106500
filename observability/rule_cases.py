"""What each rule must say of made-up series; promtool judges. A rule without a case is an error of the tests.

Times are seconds. `firing` lists the labels of the alerts that must fire, beside the rule's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from observability import rules, slo
from observability.rules import Alert, Recording, Rule

type Labels = Mapping[str, str]


@dataclass(frozen=True)
class Check:
    """At a time: the labels of what fires, or (a recording) the value of one series."""

    at: float
    firing: tuple[Labels, ...] = ()
    value: float | None = None
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """Series as promtool writes them, a value every `step` seconds, and what must be true of them."""

    series: Mapping[str, str]
    checks: tuple[Check, ...]
    step: int = 60


def seconds(text: str) -> float:
    """Reads a duration such as 30m."""
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]


def _steady(rule: Alert, series: Mapping[str, float], *firing: Labels) -> Case:
    """A state that lasts: quiet before the rule's time is over, then firing; or quiet all along."""
    lasts = seconds(rule.lasts)
    late = Check(lasts * 1.5 or 120, firing)
    checks = (Check(lasts * 0.75), late) if firing and lasts else (late,)
    step = int(max(lasts / 4, 15))
    return Case({name: f"{value!r}+0x20" for name, value in series.items()}, checks, step)


def cases_of(rule: Rule) -> tuple[Case, ...]:
    """Returns the cases of a rule. Raises KeyError where nobody wrote one."""
    if isinstance(rule, Recording):
        return (_recorded(rule),)
    if "BudgetBurns" in rule.name:
        return _burning(rule)
    return _ALERTS[(rule.name, rule.labels.get("what", ""))](rule)


def _burning(rule: Alert) -> tuple[Case, ...]:
    burn = next(each for each in slo.BURNS if each.long == rule.labels["window"])
    available = rule.name.startswith("Availability")
    ratio = rules.errors if available else rules.slow
    limit = burn.factor * (1 - (slo.AVAILABILITY if available else slo.LATENCY))

    def state(long: float, short: float, requests: float) -> dict[str, float]:
        return {
            f'{ratio(burn.long)}{{service="app"}}': limit * long,
            f'{ratio(burn.short)}{{service="app"}}': limit * short,
            f'{rules.traffic(burn.long)}{{service="app"}}': (
                slo.FEWEST_REQUESTS * requests / slo.SECONDS[burn.long]
            ),
        }

    return (
        _steady(rule, state(1.1, 1.1, 1.1), {"service": "app"}),
        _steady(rule, state(0.9, 1.1, 1.1)),
        _steady(rule, state(1.1, 0.9, 1.1)),
        _steady(rule, state(1.1, 1.1, 0.9)),
    )


def _recorded(rule: Recording) -> Case:
    """Counters that grow otherwise in every step, so that no other window has the same share."""
    found = re.search(r"\[(\w+)\]", rule.expr)
    assert found is not None
    window = seconds(found[1])
    step = 60 if window <= seconds("2h") else 1800
    count = int(2 * window / step) + 2
    # By age, in steps: what was added to each counter in that step.
    added: dict[str, Callable[[int], int]] = {
        "5xx": lambda age: 1 + age // 3 % 50,
        "2xx": lambda age: 40 + age % 7,
        "4xx": lambda age: 5 + age % 3,
    }
    series = {
        f'edge_requests_total{{{who},status="{status}"}}': _counter(grow, count)
        for status, grow in added.items()
        for who in (
            'service="app",release="r1",host="one"',
            'service="app",release="r2",host="two"',
        )
    }
    below: dict[str, Callable[[int], int]] = {
        "0.1": lambda age: 10 + age % 5,
        "0.25": lambda age: 40 + age % 5,
        "+Inf": lambda age: 50 + age // 2 % 40,
    }
    series |= {
        f'edge_request_duration_seconds_bucket{{service="app",release="r1",le="{le}"}}': _counter(
            grow, count
        )
        for le, grow in below.items()
    }
    series['edge_request_duration_seconds_count{service="app",release="r1"}'] = _counter(
        below["+Inf"], count
    )
    # A window holds the samples after its left end, so one step less than its length.
    ages = range(int(window / step) - 1)
    totals = {status: 2 * sum(grow(age) for age in ages) for status, grow in added.items()}
    requests = sum(totals.values())
    expected = {
        "edge_errors": totals["5xx"] / requests,
        "edge_slow": 1
        - sum(below["0.25"](age) for age in ages) / sum(below["+Inf"](age) for age in ages),
        # rate() extends what it saw to the whole window.
        "edge_requests": requests / (len(ages) * step),
    }[rule.record.split(":")[1]]
    check = Check((count - 1) * step, value=expected, labels={"service": "app"})
    return Case(series, (check,), step)


def _counter(grow: Callable[[int], int], count: int) -> str:
    value, values = 10_000_000, []
    for age in reversed(range(count)):
        values.append(str(value))
        value += grow(age - 1) if age else 0
    return " ".join(values)


HOST = {"host": "one"}
APP = {"service": "app", "host": "one"}


def _up(value_of: Mapping[str, float], **labels: str) -> dict[str, float]:
    told = {
        "job": "replicas",
        "track": "stable",
        "service": "app",
        "host": "one",
        "release": "r1",
        **labels,
    }
    inside = ",".join(f'{name}="{value}"' for name, value in told.items())
    return {f'up{{{inside},replica="{name}"}}': value for name, value in value_of.items()}


def _missing(rule: Alert) -> tuple[Case, ...]:
    return (
        _steady(rule, _up({"a": 1, "b": 0, "c": 0}), APP),
        _steady(rule, _up({"a": 1, "b": 1})),
        _steady(rule, _up({"a": 0}, track="candidate")),
        _steady(rule, _up({"a": 0}, job="other")),
    )


def _flapping(rule: Alert) -> tuple[Case, ...]:
    def started(ages: tuple[int, ...], kind: str = "replica") -> dict[str, str]:
        """Minutes ago, of the last of 61 minutes, at which it was started anew."""
        values = " ".join(str(sum(60 - age <= minute for age in ages)) for minute in range(61))
        return {f'container_start_time_seconds{{kind="{kind}",replica="a",host="one"}}': values}

    fires = Check(3600, ({"kind": "replica", "replica": "a", "host": "one"},))
    return (
        Case(started((1, 5, 13)), (fires,)),
        Case(started((1, 5)), (Check(3600),)),
        Case(started((1, 17, 25)), (Check(3600),)),
        Case(started((1, 5, 9, 13), kind="edge"), (Check(3600),)),
    )


def _memory(rule: Alert) -> tuple[Case, ...]:
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


def _saturated(rule: Alert) -> tuple[Case, ...]:
    def queued(count: float, track: str = "stable") -> dict[str, float]:
        return {
            f'http_worker_queued_connections{{track="{track}",service="app",host="one"}}': count
        }

    return (
        _steady(rule, queued(1), APP),
        _steady(rule, queued(0)),
        _steady(rule, queued(9, track="candidate")),
    )


def _stuck_candidate(rule: Alert) -> tuple[Case, ...]:
    return (
        _steady(rule, _up({"a": 1, "b": 0}, track="candidate"), {**APP, "release": "r1"}),
        _steady(rule, _up({"a": 1})),
        _steady(rule, _up({"a": 1}, track="candidate", job="other")),
    )


def _stuck_mixed(rule: Alert) -> tuple[Case, ...]:
    one = _up({"a": 1, "b": 1})
    return (
        _steady(rule, {**one, **_up({"c": 1}, host="two", release="r2")}, {"service": "app"}),
        _steady(rule, {**one, **_up({"c": 1}, host="two")}),
        _steady(rule, {**one, **_up({"c": 1}, release="r2", track="candidate")}),
        _steady(rule, {**one, **_up({"c": 1}, release="r2", job="other")}),
    )


def _no_host(rule: Alert) -> tuple[Case, ...]:
    return (
        _steady(rule, {'up{job="hosts",host="one"}': 0}, {"job": "hosts", "host": "one"}),
        _steady(rule, {'up{job="hosts",host="one"}': 1}),
        _steady(rule, {'up{job="node",host="one"}': 0}),
    )


def _no_part(rule: Alert) -> tuple[Case, ...]:
    return (
        _steady(rule, {'up{job="node",host="one"}': 0}, {"job": "node", "host": "one"}),
        _steady(rule, {'up{job="exporter",host="one"}': 0}, {"job": "exporter", "host": "one"}),
        _steady(rule, {'up{job="node",host="one"}': 1, 'up{job="exporter",host="one"}': 1}),
        _steady(rule, {'up{job="replicas",host="one"}': 0}),
    )


def _no_service(rule: Alert) -> tuple[Case, ...]:
    def runs(value: float, kind: str = "replica") -> dict[str, float]:
        return {
            f'container_running{{kind="{kind}",service="app",host="one",replica="{each}"}}': value
            for each in "ab"
        }

    return (
        _steady(rule, runs(1), APP),
        _steady(rule, runs(0)),
        _steady(rule, runs(1, kind="edge")),
        _steady(rule, {**runs(1), **_up({"a": 0})}),
        # Another job's series of the service is no scrape of its replicas.
        _steady(rule, {**runs(1), **_up({"a": 1}, job="other")}, APP),
    )


def _zero(metric: str) -> Callable[[Alert], tuple[Case, ...]]:
    def cases(rule: Alert) -> tuple[Case, ...]:
        labelled = f'{metric}{{host="one"}}'
        return (_steady(rule, {labelled: 0}, HOST), _steady(rule, {labelled: 1}))

    return cases


_FREE = 'engine_disk_available_bytes{host="one"}'
_SIZE = 'engine_disk_size_bytes{host="one"}'


def _filling(rule: Alert) -> tuple[Case, ...]:
    """Lines in hours and percent of the disk; a value every ten minutes."""

    def disk(*line: tuple[float, float]) -> dict[str, str]:
        values = [_at(line, minute / 60) for minute in range(0, 1810, 10)]
        return {_FREE: " ".join(f"{value:.4f}" for value in values), _SIZE: "100+0x181"}

    def checks(*told: tuple[float, bool]) -> tuple[Check, ...]:
        return tuple(Check(hour * 3600, (HOST,) if fires else ()) for hour, fires in told)

    return (
        # 1.1 % an hour: below 25 % after 20.9 h, which leaves less than a day.
        Case(disk((0, 48), (30, 15)), checks((20.5, False), (21 + 2 / 3, True)), 600),
        # 1.02 % an hour: less than a day is left only from 21.2 h on.
        Case(disk((0, 46.1), (30, 15.5)), checks((21 + 2 / 3, False), (22, True)), 600),
        # 0.9 % an hour: there too, but it lasts longer than a day.
        Case(disk((0, 43.44), (30, 16.44)), checks((21 + 2 / 3, False)), 600),
        # Four fast hours after a long rest are not yet a pace; six are.
        Case(disk((0, 24), (20, 24), (24, 20.32)), checks((24, False)), 600),
        Case(disk((0, 24.9), (20, 24.9), (26, 18.9)), checks((26, True)), 600),
    )


def _at(line: tuple[tuple[float, float], ...], hour: float) -> float:
    for (left, low), (right, high) in pairwise(line):
        if left <= hour <= right:
            return low + (high - low) * (hour - left) / (right - left)
    return line[-1][1]


def _full(rule: Alert) -> tuple[Case, ...]:
    return (
        _steady(rule, {_FREE: 4.5, _SIZE: 100}, HOST),
        _steady(rule, {_FREE: 5.5, _SIZE: 100}),
    )


def _certificate(limit_s: float) -> Callable[[Alert], tuple[Case, ...]]:
    def cases(rule: Alert) -> tuple[Case, ...]:
        name = 'host_certificate_expiry_timestamp_seconds{host="one",certificate="metrics"}'
        fires = {"host": "one", "certificate": "metrics"}
        return (_steady(rule, {name: 0.9 * limit_s}, fires), _steady(rule, {name: 1.1 * limit_s}))

    return cases


def _login(rule: Alert) -> tuple[Case, ...]:
    name, limit = 'host_registry_login_timestamp_seconds{host="one"}', 30 * 86400
    return (_steady(rule, {name: -1.1 * limit}, HOST), _steady(rule, {name: -0.9 * limit}))


def _journeys(rule: Alert) -> tuple[Case, ...]:
    name, fires = (
        'e2e_failed_journeys{environment="blue",suite="journeys"}',
        {"environment": "blue", "suite": "journeys"},
    )
    return (_steady(rule, {name: 1}, fires), _steady(rule, {name: 0}))


def _stale(rule: Alert) -> tuple[Case, ...]:
    name = 'e2e_last_success_timestamp_seconds{environment="blue",suite="journeys"}'
    fires = {"environment": "blue", "suite": "journeys"}
    return (_steady(rule, {name: -1.1 * 3600}, fires), _steady(rule, {name: -0.8 * 3600}))


_ALERTS: dict[tuple[str, str], Callable[[Alert], tuple[Case, ...]]] = {
    ("ReplicasMissing", ""): _missing,
    ("ReplicaFlapping", ""): _flapping,
    ("ReplicaNearMemoryLimit", ""): _memory,
    ("WorkersSaturated", ""): _saturated,
    ("DeployStuck", "candidate"): _stuck_candidate,
    ("DeployStuck", "mixed"): _stuck_mixed,
    ("MetricsMissing", "host"): _no_host,
    ("MetricsMissing", "part"): _no_part,
    ("MetricsMissing", "service"): _no_service,
    ("EdgeDown", ""): _zero("nginx_up"),
    ("EngineDown", ""): _zero("engine_up"),
    ("DiskFilling", ""): _filling,
    ("DiskFull", ""): _full,
    ("CertificateExpires", "soon"): _certificate(21 * 86400),
    ("CertificateExpires", "now"): _certificate(3 * 86400),
    ("RegistryLoginOld", ""): _login,
    ("JourneysFail", ""): _journeys,
    ("JourneysStale", ""): _stale,
}
