"""Counts the edge's requests by service, release, origin and status, from its access log.

The origin tells users' requests from the tool's own (deploy/nginx/nginx.conf).

The replicas' own metrics don't show requests that never reached a replica: a 502, a refused connection, a slow queue.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine_api.client import EngineApiError
from exporter.exposition import Family

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds, equal to those of the replicas' histogram (telemetry.catalog) so that both compare."""

STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")
MAX_RELEASES = 100
"""The release comes from a response header; this bounds the series if a replica invents names."""

OTHER = "other"
USERS = "users"
ORIGINS = (USERS, "gate", "verification", "journeys")
SEARCH_EVERY_S = 2.0


@dataclass
class _Counts:
    by_class: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUS_CLASSES, 0))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0


class RequestCounter:
    """Counts what all edges of a host have answered since this process started."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], _Counts] = {}
        self._releases: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def prepare(self, releases: Iterable[tuple[str, str]]) -> None:
        """Creates the users' series of these (service, release) at zero, so that a first error is an increase."""
        with self._lock:
            for service, release in releases:
                self._of(service, release, USERS)

    def count(self, line: bytes) -> None:
        """Counts a line of the access log. Ignores a line that is no request to a service."""
        try:
            entry = json.loads(line)
            service, release = str(entry["service"]), str(entry["release"])
            # The edge of an earlier version logs no origin.
            origin = entry.get("origin", USERS)
            status, seconds = f"{int(entry['status']) // 100}xx", float(entry["seconds"])
        except (ValueError, KeyError, TypeError):
            return
        if service and origin in ORIGINS and status in STATUS_CLASSES:
            with self._lock:
                counts = self._of(service, release, origin)
                counts.by_class[status] += 1
                counts.seconds += seconds
                counts.buckets[_bucket(seconds)] += 1

    def families(self) -> list[Family]:
        """Returns the metrics as of now."""
        requests = Family(
            "edge_requests_total", "counter", "Requests that the edge answered, by class of status."
        )
        duration = Family(
            "edge_request_duration_seconds",
            "histogram",
            "Time from a request's first byte to its response's last.",
        )
        with self._lock:
            for (service, release, origin), counts in self._counts.items():
                labels = {"service": service, "release": release, "origin": origin}
                for status, count in counts.by_class.items():
                    requests.add(float(count), {**labels, "status": status})
                below = 0
                for bound, count in zip((*BUCKETS, "+Inf"), counts.buckets, strict=True):
                    below += count
                    duration.add(float(below), {**labels, "le": str(bound)}, "_bucket")
                duration.add(counts.seconds, labels, "_sum")
                duration.add(float(below), labels, "_count")
        return [requests, duration]

    def _of(self, service: str, release: str, origin: str) -> _Counts:
        if (service, release) not in self._releases and len(self._releases) >= MAX_RELEASES:
            release = OTHER
        else:
            self._releases.add((service, release))
        return self._counts.setdefault((service, release, origin), _Counts())


def _bucket(seconds: float) -> int:
    return next((at for at, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))


class ContainerLogs(Protocol):
    """The part of the engine's API that is read here."""

    def deployed_containers(self) -> list[dict[str, Any]]: ...

    def log_lines(self, container: str, *, since: float) -> Iterator[bytes]: ...


class LogFollower:
    """Follows the access logs of all edges of a host, each on a thread of its own.

    Two edges run while one takes over from the other.
    """

    def __init__(self, engine: ContainerLogs, requests: RequestCounter, *, now: float) -> None:
        self._engine = engine
        self._requests = requests
        # Earlier lines were counted by the process before this one, or are lost.
        self._started = now
        self._resume_at: dict[str, float] = {}
        self._followed: set[str] = set()

    def follow_new_edges(self) -> list[threading.Thread]:
        """Starts a thread for each edge that isn't followed yet. Raises what the engine raises."""
        listed = self._engine.deployed_containers()
        labels = [container["Labels"] for container in listed]
        self._requests.prepare(
            (found["py-cicd.service"], found["py-cicd.release"])
            for found in labels
            if found.get("py-cicd.release") and found.get("py-cicd.service")
        )
        started = []
        for container in listed:
            identity = container["Id"]
            is_edge = container["Labels"].get("py-cicd.name") == "edge"
            if is_edge and container["State"] == "running" and identity not in self._followed:
                self._followed.add(identity)
                started.append(threading.Thread(target=self._follow, args=(identity,), daemon=True))
                started[-1].start()
        return started

    def _follow(self, identity: str) -> None:
        since = self._resume_at.get(identity, self._started)
        try:
            for line in self._engine.log_lines(identity, since=since):
                self._requests.count(line)
        except EngineApiError as error:
            print(f"edge {identity[:12]}: {error}", flush=True)
        finally:
            self._resume_at[identity] = (
                time.time()
            )  # if it still runs, it is followed again from here
            self._followed.discard(identity)

    def run(self) -> None:
        """Follows new edges as they start, forever."""
        while True:
            try:
                self.follow_new_edges()
            except EngineApiError as error:
                print(f"engine: {error}", flush=True)
            time.sleep(SEARCH_EVERY_S)
