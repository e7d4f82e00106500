"""The requests to both releases of a rollout over time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from deploy.core.analysis.access_log import SecondCount
from deploy.core.analysis.samples import RequestStats
from deploy.core.reports.rollout_log import RolloutLog
from deploy.core.state.edge import upstream_name

INTERVAL_S = 2.0

type Moment = tuple[float, RequestStats]
"""Seconds after the rollout began, and the requests within `INTERVAL_S` from then on."""


def requests_over_time(
    log: RolloutLog, counts: Iterable[SecondCount]
) -> dict[str, tuple[Moment, ...]]:
    """Returns the requests to the previous and the new release, by release id.

    The counts have the time of the hosts' clocks, the rollout that of the deployer's.
    """
    begun = datetime.fromisoformat(log.begun).timestamp()
    releases = [release for release in (log.previous, log.release) if release]
    names = {upstream_name(log.service, release): release for release in releases}
    rows: dict[tuple[str, float], list[tuple[float, bool, int]]] = {}
    for count in counts:
        if count.upstream in names:
            moment = (count.at - begun) // INTERVAL_S * INTERVAL_S
            found = rows.setdefault((names[count.upstream], moment), [])
            found.append((count.seconds, count.failed, count.requests))
    return {
        release: tuple(
            (moment, RequestStats.from_counts(found))
            for (name, moment), found in sorted(rows.items())
            if name == release
        )
        for release in releases
    }
