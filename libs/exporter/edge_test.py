"""Log lines become counts, whoever wrote them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from exporter.edge import MOST_RELEASES, Follower, Tally
from exporter.engine import EngineError
from exporter.exposition import Family


def line(
    release: str = "r1", status: int = 200, seconds: float = 0.02, service: str = "app"
) -> bytes:
    told = {"service": service, "release": release, "status": status, "seconds": seconds}
    return json.dumps(told).encode()


def value(families: list[Family], name: str, suffix: str = "", **labels: str) -> float | None:
    for family in families:
        for each, told, found in family.samples:
            if family.name == name and each == suffix and told == labels:
                return found
    return None


def requests(tally: Tally, status: str, release: str = "r1") -> float | None:
    labels = {"service": "app", "release": release, "status": status}
    return value(tally.families(), "edge_requests_total", **labels)


def test_requests_count_by_release_and_class() -> None:
    tally = Tally()
    for each in (line(), line(status=204), line(status=502), line("r2", 404)):
        tally.take(each)
    assert (requests(tally, "2xx"), requests(tally, "5xx"), requests(tally, "4xx", "r2")) == (
        2,
        1,
        1,
    )
    assert requests(tally, "5xx", "r2") == 0


def test_a_histogram_counts_what_is_below_each_bound() -> None:
    tally = Tally()
    for seconds in (0.02, 0.2, 99.0):
        tally.take(line(seconds=seconds))
    families, who = tally.families(), {"service": "app", "release": "r1"}
    name = "edge_request_duration_seconds"
    below = [
        value(families, name, "_bucket", **who, le=le)
        for le in ("0.01", "0.025", "0.25", "10.0", "+Inf")
    ]
    assert below == [0, 1, 2, 2, 3]
    assert value(families, name, "_count", **who) == 3
    assert value(families, name, "_sum", **who) == 99.22


def test_what_runs_is_there_at_zero() -> None:
    tally = Tally()
    tally.prepare([("app", "r1")])
    assert requests(tally, "5xx") == 0


def test_what_is_no_request_of_a_service_is_left_out() -> None:
    tally = Tally()
    for each in (
        b"",
        b"2026/11/24 [warn] 7#7: ...",
        b'"text"',
        b"{}",
        line(status=0),
        line(service=""),
    ):
        tally.take(each)
    assert [each.samples for each in tally.families()] == [[], []]


def test_made_up_releases_have_a_bound() -> None:
    tally = Tally()
    for number in range(MOST_RELEASES + 50):
        tally.take(line(f"r{number}"))
    assert requests(tally, "2xx", "other") == 50


class Host:
    """An engine with edges whose lines are given; a following ends with an error where it is told to."""

    def __init__(self, **edges: list[bytes]) -> None:
        self.edges = edges
        self.asked: list[tuple[str, float]] = []
        self.broken = False

    def containers(self) -> list[dict[str, Any]]:
        replica = {"py-cicd.name": "app", "py-cicd.service": "app", "py-cicd.release": "r1"}
        return [
            {"Id": "1", "State": "running", "Labels": replica},
            *(
                {"Id": name, "State": "running", "Labels": {"py-cicd.name": "edge"}}
                for name in self.edges
            ),
        ]

    def lines(self, container: str, *, since: float) -> Iterator[bytes]:
        self.asked.append((container, since))
        yield from self.edges[container]
        if self.broken:
            raise EngineError("gone")


def all_of(threads: list[threading.Thread]) -> int:
    for each in threads:
        each.join(10)
    return len(threads)


def test_every_edge_is_followed_from_when_this_began() -> None:
    tally, engine = Tally(), Host(old=[line()], new=[line(), line("r2")])
    follower = Follower(engine, tally, now=7.0)
    assert all_of(follower.look()) == 2
    assert sorted(engine.asked) == [("new", 7.0), ("old", 7.0)]
    assert (requests(tally, "2xx"), requests(tally, "2xx", "r2"), requests(tally, "5xx")) == (
        2,
        1,
        0,
    )


def test_a_following_that_broke_is_taken_up_where_it_ended() -> None:
    tally, engine = Tally(), Host(edge=[line()])
    engine.broken = True
    follower = Follower(engine, tally, now=7.0)
    all_of(follower.look())
    engine.edges["edge"] = []
    all_of(follower.look())
    assert [name for name, _ in engine.asked] == ["edge", "edge"]
    assert engine.asked[1][1] > 7.0
    assert requests(tally, "2xx") == 1
