"""Sends the same GETs to both releases through the preview listener, so that an analysis has requests to count.

Their number and duration are limited, and their ids tell them apart in the access log. The answers are ignored here:
the analysis counts what the edge logged.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from deploy.core.analysis.access_log import VERIFICATION_ID
from deploy.core.ports import Clock, Host
from deploy.core.state.edge import direct_path
from deploy.core.state.release import Release
from deploy.run.hosts.fanout import MOST_HOSTS

DEADLINE_S = 60.0
_WARM_UPS = 4
_AT_ONCE = 2
"""Requests at once per host. More wait for each other on its connection (measured: 165, 213, 189 a second)."""


@dataclass(frozen=True)
class SyntheticRequests:
    """Where synthetic requests go: to these paths below each release's route, on these hosts.

    Their ids begin with `prefix`.
    """

    hosts: Sequence[Host]
    paths: Sequence[str]
    preview_port: int
    prefix: str


def send(
    requests: SyntheticRequests, releases: Sequence[tuple[Release, int]], clock: Clock
) -> None:
    """Sends each release this many GETs, alternating between releases, and stops early after `DEADLINE_S`."""
    _send(requests, releases, clock, counted=True)


def warm_up(requests: SyntheticRequests, release: Release, clock: Clock) -> None:
    """Requests each path from each replica a few times, uncounted, because first requests are slower."""
    count = _WARM_UPS * len(release.names) * len(requests.hosts) * len(requests.paths)
    _send(requests, [(release, count)], clock, counted=False)


def _send(
    requests: SyntheticRequests,
    releases: Sequence[tuple[Release, int]],
    clock: Clock,
    *,
    counted: bool,
) -> None:
    end = clock.monotonic() + DEADLINE_S
    hosts = requests.hosts
    targets = list(zip(_alternate(releases), itertools.cycle(requests.paths), strict=False))
    shares = [targets[number :: len(hosts)] for number in range(len(hosts))]

    def one(request: tuple[Host, int, tuple[Release, str]]) -> None:
        host, number, (release, path) = request
        if clock.monotonic() < end:
            request_id = f"{requests.prefix}{number:08d}" if counted else VERIFICATION_ID
            target = (
                direct_path(release.service, release.id) + release.route.path.rstrip("/") + path
            )
            host.fetch(requests.preview_port, target, headers=_headers(release, request_id))

    queue = [
        (host, number, target)
        for host, share in zip(hosts, shares, strict=True)
        for number, target in enumerate(share)
    ]
    queue.sort(key=lambda request: request[1])  # so that all hosts are busy until the end
    with ThreadPoolExecutor(max_workers=min(MOST_HOSTS, _AT_ONCE * len(hosts))) as pool:
        for _ in pool.map(one, queue):
            pass


def _alternate(releases: Sequence[tuple[Release, int]]) -> Iterator[Release]:
    left = {release.id: count for release, count in releases}
    while any(left.values()):
        for release, _ in releases:
            if left[release.id] > 0:
                left[release.id] -= 1
                yield release


def _headers(release: Release, request_id: str) -> Mapping[str, str]:
    headers = {"X-Request-Id": request_id, "User-Agent": "ship-gate"}
    return {**headers, "Host": release.route.host} if release.route.host else headers
