"""Rebuilds the edge's state of a host from its release records, its replicas and what its nginx answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.core.state.edge import EdgeRoute, EdgeState
from deploy.core.state.host import HostState
from deploy.core.state.ledger import verified
from deploy.core.state.release import Release


@dataclass(frozen=True)
class Answered:
    """What nginx answered for one service.

    `live` and `preview` are the releases that answered users and the preview listener, None if none did. `routed` are
    the releases that it has an upstream for. `maintenance` is whether users get the maintenance page.
    """

    live: str | None = None
    preview: str | None = None
    routed: frozenset[str] = frozenset()
    maintenance: bool = False


def running_records(host: HostState, service: str) -> tuple[Release, ...]:
    """Returns the records of a service's releases that have a running replica, oldest first."""
    running = {c.release for c in host.containers if c.service == service and c.state == "running"}
    found = (record for record in host.releases if record.service == service)
    return tuple(sorted((r for r in found if r.id in running), key=lambda record: record.sequence))


def services_of(host: HostState) -> tuple[str, ...]:
    """Returns the names of all services with a running replica."""
    return tuple(sorted({c.service for c in host.containers if c.state == "running"}))


def rebuild(host: HostState, answered: Mapping[str, Answered]) -> EdgeState:
    """Returns the state that gives the same answers; the share of a canary is lost, so users get the live release.

    A service that nginx doesn't serve any more gets the release that was verified last. Raises ValueError for a service
    of which it can't be told which release is live.
    """
    state = EdgeState()
    for service in services_of(host):
        state = state.with_route(_route(host, service, answered.get(service, Answered())))
    return state


def _route(host: HostState, service: str, answered: Answered) -> EdgeRoute:
    records = {record.id: record for record in running_records(host, service)}
    last = [entry.release for entry in verified(host.ledger, service)][-1:]
    choices = (None if answered.maintenance else answered.live, *last, answered.preview)
    live = next((release for release in choices if release in records), None)
    if live is None:
        if answered.routed or answered.live or last or not records:
            raise ValueError(f"which release of {service} is live, or its record is missing")
        newest = next(reversed(records.values()))  # a first deploy that was interrupted
        return EdgeRoute(service, newest.route.path, newest.route.host)
    route = EdgeRoute(service, records[live].route.path, records[live].route.host)
    others = [release for release in records if release in answered.routed and release != live]
    for release, record in records.items():
        if release in (*others, live):
            route = route.offer(record.upstream)
    candidate = answered.preview if answered.preview in others else None
    pointed = route.point(live)
    return EdgeRoute(
        service,
        pointed.path,
        pointed.host,
        live,
        candidate,
        pointed.upstreams,
        maintenance=answered.maintenance,
    )
