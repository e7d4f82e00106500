"""Sends GETs to two releases alike through the preview listener, so that a gate has something to count.

Only GETs, only to the host's own loopback, a bounded number in a bounded time, each with a request id that tells it
apart in the edge's log. It never looks at an answer: what a request came to is what the edge wrote down.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from deploy.core.analysis.access_log import VERIFYING
from deploy.core.ports import Clock, Host
from deploy.core.state.edge import direct_path
from deploy.core.state.release import Release

DEADLINE_S = 60.0
_WARM = 4
_AT_ONCE = 2
"""A host's connection takes no more: further ones wait for one another (measured: 165, 213, 189 a second)."""


@dataclass(frozen=True)
class Course:
    """Where synthetic requests go: these paths below the route of each release, on these hosts.

    Their request ids begin with `mark`.
    """

    hosts: Sequence[Host]
    paths: Sequence[str]
    preview_port: int
    mark: str


def send(course: Course, wanted: Sequence[tuple[Release, int]], clock: Clock) -> None:
    """Sends each release so many GETs, one after the other in turn, or as many as the time allows."""
    _send(course, wanted, clock, counted=True)


def _send(
    course: Course, wanted: Sequence[tuple[Release, int]], clock: Clock, *, counted: bool
) -> None:
    end = clock.monotonic() + DEADLINE_S
    turns = list(zip(_in_turn(wanted), itertools.cycle(course.paths), strict=False))
    shares = [turns[number :: len(course.hosts)] for number in range(len(course.hosts))]

    def one(asked: tuple[Host, int, tuple[Release, str]]) -> None:
        host, number, (release, path) = asked
        if clock.monotonic() < end:
            name = f"{course.mark}{number:08d}" if counted else VERIFYING
            where = direct_path(release.service, release.id) + below(release, path)
            host.fetch(course.preview_port, where, headers=_headers(release, name))

    asked = [
        (host, number, turn)
        for host, share in zip(course.hosts, shares, strict=True)
        for number, turn in enumerate(share)
    ]
    # Hosts interleaved, so that none is done while another has all its requests to come.
    asked.sort(key=lambda each: each[1])
    with ThreadPoolExecutor(max_workers=min(16, _AT_ONCE * len(course.hosts))) as pool:
        for _ in pool.map(one, asked):
            pass


def warm_up(course: Course, release: Release, clock: Clock) -> None:
    """Lets each replica answer each path a few times uncounted: what a first request costs is no release's speed."""
    asked = _WARM * len(release.names) * len(course.hosts) * len(course.paths)
    _send(course, [(release, asked)], clock, counted=False)


def below(release: Release, path: str) -> str:
    """Returns the path below the release's own route."""
    return release.route.path.rstrip("/") + path


def _in_turn(wanted: Sequence[tuple[Release, int]]) -> Iterator[Release]:
    left = {release.id: count for release, count in wanted}
    while any(left.values()):
        for release, _ in wanted:
            if left[release.id] > 0:
                left[release.id] -= 1
                yield release


def _headers(release: Release, name: str) -> Mapping[str, str]:
    named = {"X-Request-Id": name, "User-Agent": "ship-gate"}
    return {**named, "Host": release.route.host} if release.route.host else named
