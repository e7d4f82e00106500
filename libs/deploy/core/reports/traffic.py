"""The requests to both releases of a rollout over time, users' apart from synthetic ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from deploy.core.analysis.access_log import Origin, SecondCount
from deploy.core.analysis.samples import RequestStats
from deploy.core.reports.rollout_log import RolloutLog
from deploy.core.state.edge import upstream_name

INTERVAL_S = 2.0

type Moment = tuple[float, RequestStats]
"""Seconds after the rollout began, and the requests within `INTERVAL_S` from then on."""

type Traffic = Mapping[tuple[str, Origin], Sequence[Moment]]
"""The moments with requests, by release and by who sent them."""


def requests_over_time(log: RolloutLog, counts: Iterable[SecondCount]) -> Traffic:
    """Returns the requests to the previous and the new release; a pair without any is left out.

    The counts have the time of the hosts' clocks, the rollout that of the deployer's.
    """
    begun = datetime.fromisoformat(log.begun).timestamp()
    releases = [release for release in (log.previous, log.release) if release]
    names = {upstream_name(log.service, release): release for release in releases}
    rows: dict[tuple[str, Origin], dict[float, list[tuple[float, bool, int]]]] = {
        (release, origin): {} for origin in Origin for release in releases
    }
    for count in counts:
        if count.upstream in names:
            moment = (count.at - begun) // INTERVAL_S * INTERVAL_S
            found = rows[names[count.upstream], count.origin].setdefault(moment, [])
            found.append((count.seconds, count.failed, count.requests))
    return {
        key: tuple(
            (moment, RequestStats.from_counts(found)) for moment, found in sorted(moments.items())
        )
        for key, moments in rows.items()
        if moments
    }
