"""Waits until Prometheus sees every replica; never starts a scrape."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.core.ports import Clock, MetricsQuery
from deploy.errors import MetricsError
from deploy.run.hosts.waiting import wait_until

DEADLINE_S = 60.0


def up_of(services: Iterable[str]) -> str:
    """Asks for the replicas of these services' live releases, in PromQL.

    Only what was scraped lately: an environment's Prometheus that is started anew never learns that a series ended
    meanwhile, and would show its last value for five minutes more.
    """
    stable = f'up{{job="replicas",track="stable",service=~"{"|".join(services)}"}}'
    return f"{stable} and timestamp({stable}) > time() - 20"


def await_scraped(
    metrics: MetricsQuery, services: Iterable[str], wanted: int, clock: Clock
) -> None:
    """Waits until exactly so many replicas are up, none is down. Raises MetricsError with what was seen."""
    last, up = "nothing", up_of(services)

    def all_up() -> bool:
        nonlocal last
        try:
            values = [value for _, value in metrics.query(up)]
        except MetricsError as error:
            last = error.message
            return False
        last = f"{sum(value == 1 for value in values)} of {len(values)} replicas up"
        return len(values) == wanted and all(value == 1 for value in values)

    if not wait_until(all_up, clock, deadline_s=DEADLINE_S, every_s=0.5):
        raise MetricsError(
            f"Prometheus does not see all {wanted} replicas after {DEADLINE_S:g} s: {last}",
            hint="./ship status shows the replicas; they serve all the same",
        )
