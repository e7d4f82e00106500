"""One fault sends one page: each fault's alerts are posted to the sandbox's Alertmanager, for made-up names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from e2e.live_sandbox import LiveSandbox, fetch
from e2e.ship import until

LISTED_WITHIN_S = 20.0

APP = {"service": "paged"}
HOST = {"host": "paged-1"}
SITE = {"environment": "paged", "suite": "journeys"}


def alert(name: str, *labels: Mapping[str, str], **more: str) -> dict[str, str]:
    """Returns the labels of an alert."""
    merged = {"alertname": name}
    for mapping in labels:
        merged |= mapping
    return merged | more


BURNS = [
    alert(f"{what}BudgetBurns{pace}", APP)
    for what in ("Availability", "Latency")
    for pace in ("Fast", "Slowly")
]
JOURNEYS = [alert("JourneysFail", SITE), alert("JourneysStale", SITE)]
FAULTS = {
    "every replica of a service is dead": [
        alert("ReplicasMissing", APP, HOST),
        alert("ReplicasMissing", APP, host="paged-2"),
        *BURNS,
        *JOURNEYS,
    ],
    "a replica of a service is dead": [
        alert("ReplicasMissing", APP, HOST),
        alert("ReplicaFlapping", APP, HOST, replica="paged-1"),
        alert("WorkersSaturated", APP, HOST),
    ],
    "a service fails": [*BURNS, *JOURNEYS],
    "an edge is down": [
        alert("EdgeDown", HOST),
        alert("ReplicasMissing", APP, HOST),
        *JOURNEYS,
    ],
    "an engine is down": [
        alert("EngineDown", HOST),
        alert("EdgeDown", HOST),
        alert("ReplicasMissing", APP, HOST),
        alert("ReplicasMissing", HOST, service="other"),
    ],
    "a host can't be scraped": [
        alert("MetricsMissing", HOST, what="host"),
        alert("EngineDown", HOST),
        alert("ReplicasMissing", APP, HOST),
        alert("DiskFilling", HOST),
    ],
    "a disk is full": [alert("DiskFull", HOST), alert("DiskFilling", HOST)],
    "a certificate is about to end": [
        alert("CertificateExpires", HOST, certificate="metrics", what=what)
        for what in ("soon", "now")
    ],
    "the journeys fail": JOURNEYS,
}
SEVERAL = {
    "two services fail": (2, [*BURNS, *({**each, "service": "other"} for each in BURNS)]),
    "a service fails and another host's disk is full": (2, [*BURNS, alert("DiskFull", HOST)]),
    "two disks are full": (2, [alert("DiskFull", HOST), alert("DiskFull", host="paged-2")]),
    "a replica is dead and another service fails": (
        2,
        [alert("ReplicasMissing", HOST, service="other"), *BURNS],
    ),
}


@pytest.fixture
def alertmanager(sandbox: LiveSandbox) -> str:
    """The URL of the sandbox's Alertmanager, which has the committed configuration."""
    return str(sandbox.environment()["metrics"]["alertmanager_url"])


def post(url: str, number: int, fired: Sequence[Mapping[str, str]], **more: str) -> None:
    """Posts alerts to Alertmanager, labelled with the test's number, which no rule uses, to keep faults apart."""
    alerts = [{"labels": {**labels, "test": str(number)}, **more} for labels in fired]
    request = Request(  # noqa: S310 - our own sandbox
        f"{url}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=10):  # noqa: S310
        pass


def pages(url: str, number: int, fired: Sequence[Mapping[str, str]]) -> int:
    """Posts the alerts of a fault; returns how many groups of alerts would page somebody."""
    post(url, number, fired)
    until(lambda: sum(_groups(url, number, inhibited=True)) == len(fired), within_s=LISTED_WITHIN_S)
    return len(_groups(url, number, inhibited=False))


def _groups(url: str, number: int, *, inhibited: bool) -> list[int]:
    """Returns the number of alerts in each group; with `inhibited`, inhibited alerts count as well."""
    query = f"inhibited={json.dumps(inhibited)}&filter={quote(f'test="{number}"')}"
    groups: Any = fetch(f"{url}/api/v2/alerts/groups?{query}")
    return [len(group["alerts"]) for group in groups]


CASES = [(name, 1, fired) for name, fired in FAULTS.items()]
CASES += [(name, count, fired) for name, (count, fired) in SEVERAL.items()]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[name for name, _, _ in CASES])
def test_each_fault_sends_one_page(alertmanager: str, number: int) -> None:
    _, count, fired = CASES[number]
    try:
        assert pages(alertmanager, number, fired) == count
    finally:  # resolve them, or they could inhibit alerts of the next fault
        post(alertmanager, number, fired, endsAt="2026-01-01T00:00:00Z")
