"""Waits until Prometheus has scraped every replica."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.core.ports import Clock, MetricsQuery
from deploy.errors import MetricsError
from deploy.run.hosts.waiting import wait_until

DEADLINE_S = 60.0


def up_query(services: Iterable[str]) -> str:
    """Returns the PromQL query for the `up` series of these services' live releases.

    Only recent samples count: after its own restart Prometheus shows the last value of ended series for five minutes.
    """
    stable = f'up{{job="replicas",track="stable",service=~"{"|".join(services)}"}}'
    return f"{stable} and timestamp({stable}) > time() - 20"


def await_scraped(
    metrics: MetricsQuery, services: Iterable[str], expected: int, clock: Clock
) -> None:
    """Waits until exactly `expected` replicas are up and none is down. Raises MetricsError with the last count."""
    last, query = "nothing", up_query(services)

    def all_up() -> bool:
        nonlocal last
        try:
            values = [value for _, value in metrics.query(query)]
        except MetricsError as error:
            last = error.message
            return False
        last = f"{sum(value == 1 for value in values)} of {len(values)} replicas up"
        return len(values) == expected and all(value == 1 for value in values)

    if not wait_until(all_up, clock, deadline_s=DEADLINE_S, every_s=0.5):
        raise MetricsError(
            f"Prometheus does not see all {expected} replicas after {DEADLINE_S:g} s: {last}",
            hint="./ship status shows the replicas, which serve without Prometheus too",
        )
