"""Alertmanager's configuration: who is told, and which alert keeps another quiet, so that one fault pages once."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Inhibition:
    """While `source` fires, what `target` matches with equal labels is kept quiet (matchers of Alertmanager)."""

    source: str
    target: str
    equal: tuple[str, ...]
    because: str


INHIBITIONS = (
    Inhibition(
        'alertname="AvailabilityBudgetBurnsFast"',
        'alertname="AvailabilityBudgetBurnsSlowly"',
        ("service",),
        "the same errors",
    ),
    Inhibition(
        'alertname="LatencyBudgetBurnsFast"',
        'alertname="LatencyBudgetBurnsSlowly"',
        ("service",),
        "the same slowness",
    ),
    Inhibition(
        'alertname="AvailabilityBudgetBurnsFast"',
        'alertname=~"LatencyBudget.*"',
        ("service",),
        "what fails is slow, too",
    ),
    Inhibition(
        'alertname="EdgeDown"',
        'alertname="ReplicasMissing"',
        ("host",),
        "nobody is served there anyway",
    ),
    Inhibition(
        'alertname="EngineDown"',
        'alertname=~"EdgeDown|ReplicasMissing|ReplicaFlapping"',
        ("host",),
        "what ends stays down",
    ),
    Inhibition(
        'alertname="MetricsMissing",what="host"',
        'alertname!="MetricsMissing"',
        ("host",),
        "what is told of it is old",
    ),
    Inhibition(
        'alertname="ReplicasMissing"',
        'alertname=~"ReplicaFlapping|WorkersSaturated"',
        ("service", "host"),
        "it follows from it",
    ),
    Inhibition('alertname="DiskFull"', 'alertname="DiskFilling"', ("host",), "it came true"),
    Inhibition(
        'alertname="CertificateExpires",what="now"',
        'alertname="CertificateExpires",what="soon"',
        ("host", "certificate"),
        "it came true",
    ),
    Inhibition(
        'alertname=~"AvailabilityBudgetBurnsFast|EdgeDown"',
        'alertname=~"JourneysFail|JourneysStale"',
        (),
        # They share no label, and an Alertmanager is of one environment. What fails for a reason of its own
        # meanwhile is told once this is over.
        "journeys are users, too",
    ),
    Inhibition(
        'alertname="JourneysFail"',
        'alertname="JourneysStale"',
        ("environment", "suite"),
        "a red run is no success",
    ),
)


def render(receiver_url: str = "") -> str:
    """Writes alertmanager.yml; as JSON, which is YAML. `receiver_url` is a webhook; none: alerts are only shown.

    https://prometheus.io/docs/alerting/latest/configuration/
    """
    receiver: dict[str, object] = {"name": "people"}
    if receiver_url:
        receiver["webhook_configs"] = [{"url": receiver_url, "send_resolved": True}]
    document = {
        "route": {
            "receiver": "people",
            # A fault of a service or of a host is one message, whatever number of alerts it is: of a service
            # wherever it runs, so that its replicas' alerts come with those of its users.
            "group_by": ["host", "environment"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
            "routes": [{"matchers": ['service=~".+"'], "group_by": ["service"]}],
        },
        "receivers": [receiver],
        "inhibit_rules": [
            {
                "source_matchers": _matchers(each.source),
                "target_matchers": _matchers(each.target),
                "equal": list(each.equal),
            }
            for each in INHIBITIONS
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _matchers(text: str) -> list[str]:
    return text.split(",")
