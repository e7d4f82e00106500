"""One fault pages once: the stack's Alertmanager is told what each fault fires, of a service and hosts that aren't."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from e2e.ship import until
from e2e.stack import Stack, fetch

TOLD_WITHIN_S = 20.0

APP = {"service": "paged"}
HOST = {"host": "paged-1"}
SITE = {"environment": "paged", "suite": "journeys"}


def alert(name: str, *labels: Mapping[str, str], **more: str) -> dict[str, str]:
    found = {"alertname": name}
    for each in labels:
        found |= each
    return found | more


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
    "a host can't be asked": [
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
    "a replica is dead and another service's users meet errors": (
        2,
        [alert("ReplicasMissing", HOST, service="other"), *BURNS],
    ),
}


@pytest.fixture
def alertmanager(stack: Stack) -> str:
    """The stack's own, with the committed configuration."""
    return str(stack.environment()["metrics"]["alertmanager_url"])


def told(url: str, number: int, fired: Sequence[Mapping[str, str]], **more: str) -> None:
    """Tells Alertmanager; `number` is a label of the test's own, which keeps faults apart and which no rule names."""
    alerts = [{"labels": {**each, "test": str(number)}, **more} for each in fired]
    asked = Request(  # noqa: S310 - our own stack
        f"{url}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(asked, timeout=10):  # noqa: S310
        pass


def pages(url: str, number: int, fired: Sequence[Mapping[str, str]]) -> int:
    """How many groups somebody is told of, once Alertmanager has all that fired."""
    told(url, number, fired)
    until(lambda: sum(_groups(url, number, inhibited=True)) == len(fired), within_s=TOLD_WITHIN_S)
    return len(_groups(url, number, inhibited=False))


def _groups(url: str, number: int, *, inhibited: bool) -> list[int]:
    """How many alerts each group has."""
    asked = f"inhibited={json.dumps(inhibited)}&filter={quote(f'test="{number}"')}"
    found: Any = fetch(f"{url}/api/v2/alerts/groups?{asked}")
    return [len(group["alerts"]) for group in found]


CASES = [(name, 1, fired) for name, fired in FAULTS.items()]
CASES += [(name, count, fired) for name, (count, fired) in SEVERAL.items()]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[name for name, _, _ in CASES])
def test_each_fault_is_one_page(alertmanager: str, number: int) -> None:
    _, count, fired = CASES[number]
    try:
        assert pages(alertmanager, number, fired) == count
    finally:  # so that it keeps nothing of the next fault quiet
        told(alertmanager, number, fired, endsAt="2026-01-01T00:00:00Z")
