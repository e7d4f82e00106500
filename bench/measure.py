"""Measures one running stack from outside, the same for every way; it knows neither of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from docker.models.containers import Container

from e2e.loadgen.process import RunningLoad, running_gets
from e2e.loadgen.record import Record
from e2e.ship import until

STARTS = 3
RATE = 50.0


def first_answer(start: Callable[[], Container]) -> float:
    """Returns the median time, over some starts, until a container just started answers /version, in seconds."""
    return statistics.median(_one_start(start) for _ in range(STARTS))


def _one_start(start: Callable[[], Container]) -> float:
    begun = time.monotonic()
    container = start()
    try:
        until(lambda: _answers(_address(container)), within_s=60, every_s=0.01)
        return time.monotonic() - begun
    finally:
        container.remove(force=True)


def _address(container: Container) -> str:
    container.reload()
    return str(container.attrs["NetworkSettings"]["IPAddress"])


def _answers(address: str) -> bool:
    if not address:
        return False
    connection = HTTPConnection(address, 8080, timeout=1)
    try:
        connection.request("GET", "/version")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def requests_per_second(url: str, *, seconds: float = 8.0) -> float:
    """Returns how many GETs of /api/monitor are answered well, with eight clients that ask on."""
    with running_gets(url, "/api/monitor", closed=8) as load:
        load.await_rows(1)
        time.sleep(1)
        begun = time.time()
        time.sleep(seconds)
        ended = time.time()
    record = load.record.between(begun, ended)
    return (len(record.rows) - len(record.lost)) / (ended - begun)


@dataclass(frozen=True)
class Redeploy:
    """A redeploy under load, begun at `begun` in seconds since the epoch: its own time, and what users met."""

    begun: float
    seconds: float
    record: Record

    @property
    def live_after(self) -> float:
        """Seconds until the last request was due that failed or met the release before."""
        last = self.record.rows[-1].release
        others = [row.due for row in self.record.rows if row.lost or row.release != last]
        return max(others, default=self.begun) - self.begun


def redeploy_under_load(url: str, redeploy: Callable[[], object]) -> Redeploy:
    """Redeploys while `RATE` requests a second go on, fresh and keep-alive, until they are all well again."""
    with running_gets(url, rate=RATE) as load:
        load.await_rows(int(RATE) + 1)
        begun = time.time()
        redeploy()
        seconds = time.time() - begun
        until(lambda: _well_for(load, 2.0), within_s=90)
    return Redeploy(begun, seconds, load.record)


def _well_for(load: RunningLoad, seconds: float) -> bool:
    recent = load.record.between(time.time() - seconds)
    return len(recent.rows) > RATE * seconds / 2 and not recent.lost
