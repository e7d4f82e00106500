"""Counts the edge's requests by service, release and status from its log lines; it never asks the edge.

The replicas' own metrics can't show what never reached a replica: a 502, a refused connection, a slow queue.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from exporter.engine import EngineError
from exporter.exposition import Family

# Seconds; the same ends as the replicas' own histogram (telemetry.catalog), so that the two can be compared.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")
# A release is named by a header of the answer: whoever writes it can't grow this without bound.
MOST_RELEASES = 100
OTHER = "other"
EVERY_S = 2.0


@dataclass
class _Counts:
    by_class: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUS_CLASSES, 0))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0


class Tally:
    """What all edges of a host have answered since this process began."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], _Counts] = {}
        self._lock = threading.Lock()

    def prepare(self, releases: Iterable[tuple[str, str]]) -> None:
        """Creates the series of these (service, release) pairs at zero: a first error is then an increase."""
        with self._lock:
            for each in releases:
                self._of(each)

    def take(self, line: bytes) -> None:
        """Counts one log line; what is no line of a request of a service is left out."""
        try:
            told = json.loads(line)
            key = (str(told["service"]), str(told["release"]))
            status, seconds = f"{int(told['status']) // 100}xx", float(told["seconds"])
        except (ValueError, KeyError, TypeError):
            return
        if key[0] and status in STATUS_CLASSES:
            with self._lock:
                counts = self._of(key)
                counts.by_class[status] += 1
                counts.seconds += seconds
                counts.buckets[_bucket(seconds)] += 1

    def families(self) -> list[Family]:
        """Returns the counts as they are now."""
        requests = Family(
            "edge_requests_total", "counter", "Requests that the edge answered, by class of status."
        )
        duration = Family(
            "edge_request_duration_seconds",
            "histogram",
            "Time from a request's first byte to its answer's last.",
        )
        with self._lock:
            for (service, release), counts in self._counts.items():
                labels = {"service": service, "release": release}
                for status, count in counts.by_class.items():
                    requests.add(float(count), {**labels, "status": status})
                below = 0
                for bound, count in zip((*BUCKETS, "+Inf"), counts.buckets, strict=True):
                    below += count
                    duration.add(float(below), {**labels, "le": str(bound)}, "_bucket")
                duration.add(counts.seconds, labels, "_sum")
                duration.add(float(below), labels, "_count")
        return [requests, duration]

    def _of(self, key: tuple[str, str]) -> _Counts:
        if key not in self._counts and len(self._counts) >= MOST_RELEASES:
            key = (key[0], OTHER)
        return self._counts.setdefault(key, _Counts())


def _bucket(seconds: float) -> int:
    return next((at for at, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))


class Logs(Protocol):
    """What is read of an engine."""

    def containers(self) -> list[dict[str, Any]]: ...

    def lines(self, container: str, *, since: float) -> Iterator[bytes]: ...


class Follower:
    """Follows every edge of a host, the new one beside the old one too, each on a thread of its own."""

    def __init__(self, engine: Logs, tally: Tally, *, now: float) -> None:
        self._engine = engine
        self._tally = tally
        # Lines from before this process began were counted by the one before, or by nobody.
        self._begun = now
        self._again: dict[str, float] = {}
        self._followed: set[str] = set()

    def look(self) -> list[threading.Thread]:
        """Starts to follow edges that aren't followed yet. Raises what the engine raises."""
        listed = self._engine.containers()
        told = [each["Labels"] for each in listed]
        self._tally.prepare(
            (each["py-cicd.service"], each["py-cicd.release"])
            for each in told
            if each.get("py-cicd.release") and each.get("py-cicd.service")
        )
        started = []
        for each in listed:
            identity = each["Id"]
            serves = each["Labels"].get("py-cicd.name") == "edge" and each["State"] == "running"
            if serves and identity not in self._followed:
                self._followed.add(identity)
                started.append(threading.Thread(target=self._follow, args=(identity,), daemon=True))
                started[-1].start()
        return started

    def _follow(self, identity: str) -> None:
        since = self._again.get(identity, self._begun)
        try:
            for line in self._engine.lines(identity, since=since):
                self._tally.take(line)
        except EngineError as error:
            print(f"edge {identity[:12]}: {error}", flush=True)
        finally:
            self._again[identity] = time.time()  # if it still runs it is followed again from here
            self._followed.discard(identity)

    def run(self) -> None:
        """Looks for edges for ever."""
        while True:
            try:
                self.look()
            except EngineError as error:
                print(f"engine: {error}", flush=True)
            time.sleep(EVERY_S)
