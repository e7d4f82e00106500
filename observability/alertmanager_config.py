"""Alertmanager's configuration: receivers, grouping and inhibitions, so that one fault sends one page."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Inhibition:
    """While an alert matching `source` fires, mutes alerts matching `target` whose `equal` labels are the same.

    Both are comma-separated matchers of Alertmanager.
    """

    source: str
    target: str
    equal: tuple[str, ...]
    reason: str


INHIBITIONS = (
    Inhibition(
        'alertname="AvailabilityBudgetBurnsFast"',
        'alertname="AvailabilityBudgetBurnsSlowly"',
        ("service",),
        "the same errors at a slower pace",
    ),
    Inhibition(
        'alertname="LatencyBudgetBurnsFast"',
        'alertname="LatencyBudgetBurnsSlowly"',
        ("service",),
        "the same slowness at a slower pace",
    ),
    Inhibition(
        'alertname="AvailabilityBudgetBurnsFast"',
        'alertname=~"LatencyBudget.*"',
        ("service",),
        "failing requests are often slow, too",
    ),
    Inhibition(
        'alertname="EdgeDown"',
        'alertname="ReplicasMissing"',
        ("host",),
        "the host serves nobody anyway",
    ),
    Inhibition(
        'alertname="EngineDown"',
        'alertname=~"EdgeDown|ReplicasMissing|ReplicaFlapping"',
        ("host",),
        "without its engine a host can't restart containers",
    ),
    Inhibition(
        'alertname="MetricsMissing",what="host"',
        'alertname!="MetricsMissing"',
        ("host",),
        "without its metrics all alerts of a host are outdated",
    ),
    Inhibition(
        'alertname="ReplicasMissing"',
        'alertname=~"ReplicaFlapping|WorkersSaturated"',
        ("service", "host"),
        "missing replicas cause restarts and overload the others",
    ),
    Inhibition(
        'alertname="DiskFull"',
        'alertname="DiskFilling"',
        ("host",),
        "the prediction came true",
    ),
    Inhibition(
        'alertname="CertificateExpires",what="now"',
        'alertname="CertificateExpires",what="soon"',
        ("host", "certificate"),
        "the earlier warning about the same certificate",
    ),
    Inhibition(
        'alertname=~"AvailabilityBudgetBurnsFast|EdgeDown"',
        'alertname=~"JourneysFail|JourneysStale"',
        (),
        # These alerts share no label, but each Alertmanager serves one environment. Journeys that fail for
        # another reason are reported once the source alert is resolved.
        "journeys meet the same errors as users",
    ),
    Inhibition(
        'alertname="JourneysFail"',
        'alertname="JourneysStale"',
        ("environment", "suite"),
        "failing runs are why the last success is old",
    ),
)


def render(receiver_url: str | None = None) -> str:
    """Returns alertmanager.yml, as JSON (a subset of YAML). Without a webhook `receiver_url`, alerts are only shown.

    https://prometheus.io/docs/alerting/latest/configuration/
    """
    receiver: dict[str, object] = {"name": "people"}
    if receiver_url:
        receiver["webhook_configs"] = [{"url": receiver_url, "send_resolved": True}]
    document = {
        "route": {
            "receiver": "people",
            # One message per fault, however many alerts it fires. Alerts of a service are grouped over all hosts,
            # so that those of its replicas come with those of its users.
            "group_by": ["host", "environment"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
            "routes": [{"matchers": ['service=~".+"'], "group_by": ["service"]}],
        },
        "receivers": [receiver],
        "inhibit_rules": [
            {
                "source_matchers": inhibition.source.split(","),
                "target_matchers": inhibition.target.split(","),
                "equal": list(inhibition.equal),
            }
            for inhibition in INHIBITIONS
        ],
    }
    return json.dumps(document, indent=2) + "\n"
