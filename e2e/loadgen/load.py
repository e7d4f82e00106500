"""A bounded open-loop load of GETs, fresh and keep-alive; it never retries and never slows its schedule."""

from __future__ import annotations

import itertools
import select
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Answer:
    """One request. `due` is on the monotonic clock; `seconds` run from then, so a late start counts.

    `status` is 0 where no whole answer came; `error` then says why.
    """

    due: float
    seconds: float
    fresh: bool
    status: int = 0
    release: str = ""
    replica: str = ""
    error: str = ""

    @property
    def lost(self) -> bool:
        """True without an answer, or with the edge's or the service's own failure."""
        return self.status == 0 or self.status >= 500


@dataclass(frozen=True)
class Report:
    """What came of a load."""

    answers: tuple[Answer, ...]

    @property
    def lost(self) -> tuple[Answer, ...]:
        return tuple(answer for answer in self.answers if answer.lost)

    @property
    def answered(self) -> Report:
        """Those that were not lost."""
        return Report(tuple(answer for answer in self.answers if not answer.lost))

    @property
    def releases(self) -> Counter[str]:
        return Counter(answer.release for answer in self.answers if not answer.lost)

    @property
    def replicas(self) -> Counter[str]:
        return Counter(answer.replica for answer in self.answers if not answer.lost)

    def since(self, moment: float) -> Report:
        """Those that were due after `moment`."""
        return Report(tuple(answer for answer in self.answers if answer.due >= moment))

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the requests was answered; 0 without any."""
        times = sorted(answer.seconds for answer in self.answers)
        return times[min(int(share * len(times)), len(times) - 1)] if times else 0.0

    def __str__(self) -> str:
        causes = Counter(answer.error or str(answer.status) for answer in self.lost)
        told = f"{len(self.lost)} of {len(self.answers)} lost, p99 {self.percentile(0.99) * 1000:.0f} ms"
        return f"{told}, {dict(causes)}" if causes else told


class Connection:
    """One client. A connection that the server has closed in time is not written to, as in any browser."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        self._kept: HTTPConnection | None = None

    def get(self, path: str, due: float, *, fresh: bool) -> Answer:
        """Sends one GET, on a connection of its own if `fresh`. Every failure is an answer."""
        connection = self._open() if fresh else self._keep()
        try:
            connection.request("GET", path, headers={"Connection": "close"} if fresh else {})
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException) as error:
            connection.close()
            return Answer(due, time.monotonic() - due, fresh, error=type(error).__name__)
        finally:
            if fresh:
                connection.close()
        return Answer(
            due,
            time.monotonic() - due,
            fresh,
            response.status,
            response.headers.get("X-Release", ""),
            response.headers.get("X-Replica", ""),
        )

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    def _open(self) -> HTTPConnection:
        return HTTPConnection(*self._address, timeout=TIMEOUT_S)

    def _keep(self) -> HTTPConnection:
        if self._kept is None:
            self._kept = self._open()
        elif self._kept.sock is not None and select.select([self._kept.sock], [], [], 0)[0]:
            self._kept.close()  # readable while nothing was asked: the server closed it
        return self._kept


class Load:
    """Within `with`, `rate` requests a second are due, every second one on a fresh connection.

    At most `workers` are under way; where that is not enough the rest start late, and the answer says so.
    """

    def __init__(
        self, url: str, path: str = "/version", *, rate: float = 40, workers: int = 16
    ) -> None:
        self._url, self._path, self._rate = url, path, rate
        self._answers: list[Answer] = []
        self._turn = itertools.count()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        self._begun = 0.0

    @property
    def report(self) -> Report:
        """What was answered until now."""
        return Report(tuple(self._answers))

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S + 5)

    def _work(self) -> None:
        connection = Connection(self._url)
        while not self._ended.is_set():
            number = next(self._turn)  # atomic under the interpreter's lock
            due = self._begun + number / self._rate
            if self._ended.wait(max(0.0, due - time.monotonic())):
                break
            self._answers.append(connection.get(self._path, due, fresh=number % 2 == 0))
        connection.close()


def saturate(url: str, path: str, *, seconds: float, workers: int = 8) -> Report:
    """As many keep-alive requests as `workers` clients get answered, each asking anew when it is answered."""
    answers: list[Answer] = []
    ends = time.monotonic() + seconds

    def work() -> None:
        connection = Connection(url)
        while (now := time.monotonic()) < ends:
            answers.append(connection.get(path, now, fresh=False))
        connection.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + TIMEOUT_S + 5)
    return Report(tuple(answers))


def replicas_seen(
    url: str, *, wanted: int, path: str = "/version", within_s: float = 15.0
) -> frozenset[str]:
    """The replicas that answer on fresh connections, asked until `wanted` were seen or the time is over."""
    return frozenset(_seen(Connection(url), path, wanted, time.monotonic() + within_s))


def _seen(connection: Connection, path: str, wanted: int, deadline: float) -> Sequence[str]:
    seen: dict[str, None] = {}
    while len(seen) < wanted and (now := time.monotonic()) < deadline:
        answer = connection.get(path, now, fresh=True)
        if answer.status == 200 and answer.replica:
            seen[answer.replica] = None
    return tuple(seen)
