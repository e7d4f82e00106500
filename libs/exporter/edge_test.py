"""Requests are counted from the lines of access logs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from engine_api.client import EngineApiError
from exporter.edge import MAX_RELEASES, LogFollower, RequestCounter
from exporter.exposition import Family


def line(
    release: str = "r1",
    status: int = 200,
    seconds: float = 0.02,
    service: str = "app",
    **more: str,
) -> bytes:
    entry = {"service": service, "release": release, "status": status, "seconds": seconds, **more}
    return json.dumps(entry).encode()


def value(families: list[Family], name: str, suffix: str = "", **labels: str) -> float | None:
    for family in families:
        for found_suffix, found_labels, found in family.samples:
            if (family.name, found_suffix, found_labels) == (name, suffix, labels):
                return found
    return None


def requests(
    counter: RequestCounter, status: str, release: str = "r1", origin: str = "users"
) -> float | None:
    labels = {"service": "app", "release": release, "origin": origin, "status": status}
    return value(counter.families(), "edge_requests_total", **labels)


def test_requests_are_counted_by_release_and_status_class() -> None:
    counter = RequestCounter()
    for entry in (line(), line(status=204), line(status=502), line("r2", 404)):
        counter.count(entry)
    assert (requests(counter, "2xx"), requests(counter, "5xx"), requests(counter, "4xx", "r2")) == (
        2,
        1,
        1,
    )
    assert requests(counter, "5xx", "r2") == 0


def test_the_tools_own_requests_have_series_of_their_own() -> None:
    counter = RequestCounter()
    counter.count(line(origin="users"))
    for origin in ("gate", "journeys", "verification"):
        counter.count(line(status=502, origin=origin))
    counter.count(line(origin="somebody"))
    assert (requests(counter, "2xx"), requests(counter, "5xx")) == (1, 0)
    assert requests(counter, "5xx", origin="journeys") == 1
    assert requests(counter, "5xx", origin="gate") == 1


def test_the_histogram_counts_durations_below_each_bound() -> None:
    counter = RequestCounter()
    for seconds in (0.02, 0.2, 99.0):
        counter.count(line(seconds=seconds))
    families = counter.families()
    labels = {"service": "app", "release": "r1", "origin": "users"}
    name = "edge_request_duration_seconds"
    below = [
        value(families, name, "_bucket", **labels, le=le)
        for le in ("0.01", "0.025", "0.25", "10.0", "+Inf")
    ]
    assert below == [0, 1, 2, 2, 3]
    assert value(families, name, "_count", **labels) == 3
    assert value(families, name, "_sum", **labels) == 99.22


def test_a_running_release_starts_at_zero() -> None:
    counter = RequestCounter()
    counter.prepare([("app", "r1")])
    assert requests(counter, "5xx") == 0


def test_lines_that_are_no_requests_to_a_service_are_ignored() -> None:
    counter = RequestCounter()
    for entry in (
        b"",
        b"2026/11/24 [warn] 7#7: ...",
        b'"text"',
        b"{}",
        line(status=0),
        line(service=""),
    ):
        counter.count(entry)
    assert [family.samples for family in counter.families()] == [[], []]


def test_the_number_of_releases_is_bounded() -> None:
    counter = RequestCounter()
    for number in range(MAX_RELEASES + 50):
        counter.count(line(f"r{number}"))
    assert requests(counter, "2xx", "other") == 50


class FakeEngine:
    """An engine with edges whose log lines are given. While it is `broken`, each log ends with an error."""

    def __init__(self, **edges: list[bytes]) -> None:
        self.edges = edges
        self.followed: list[tuple[str, float]] = []
        self.broken = False

    def deployed_containers(self) -> list[dict[str, Any]]:
        replica = {"py-cicd.name": "app", "py-cicd.service": "app", "py-cicd.release": "r1"}
        return [
            {"Id": "1", "State": "running", "Labels": replica},
            *(
                {"Id": name, "State": "running", "Labels": {"py-cicd.name": "edge"}}
                for name in self.edges
            ),
        ]

    def log_lines(self, container: str, *, since: float) -> Iterator[bytes]:
        self.followed.append((container, since))
        yield from self.edges[container]
        if self.broken:
            raise EngineApiError("gone")


def finished(threads: list[threading.Thread]) -> int:
    """Waits for all threads and returns their number."""
    for thread in threads:
        thread.join(10)
    return len(threads)


def test_every_edge_is_followed_from_the_start_of_the_process() -> None:
    counter, engine = RequestCounter(), FakeEngine(old=[line()], new=[line(), line("r2")])
    follower = LogFollower(engine, counter, now=7.0)
    assert finished(follower.follow_new_edges()) == 2
    assert sorted(engine.followed) == [("new", 7.0), ("old", 7.0)]
    assert (requests(counter, "2xx"), requests(counter, "2xx", "r2"), requests(counter, "5xx")) == (
        2,
        1,
        0,
    )


def test_an_interrupted_log_is_followed_again_from_where_it_ended() -> None:
    counter, engine = RequestCounter(), FakeEngine(edge=[line()])
    engine.broken = True
    follower = LogFollower(engine, counter, now=7.0)
    finished(follower.follow_new_edges())
    engine.edges["edge"] = []
    finished(follower.follow_new_edges())
    assert [name for name, _ in engine.followed] == ["edge", "edge"]
    assert engine.followed[1][1] > 7.0
    assert requests(counter, "2xx") == 1
