"""Measures a service from outside, in the same way for this project and for plain Compose."""

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
RATE = 50.0  # requests a second during a redeploy


def first_answer(start: Callable[[], Container]) -> float:
    """Returns the seconds from the start of a container to its first answer to /version, the median of `STARTS`."""
    return statistics.median(_one_start(start) for _ in range(STARTS))


def _one_start(start: Callable[[], Container]) -> float:
    started = time.monotonic()
    container = start()
    try:
        until(lambda: _answers(_address(container)), within_s=60, every_s=0.01)
        return time.monotonic() - started
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
    """Returns how many GETs of /api/monitor are answered without an error, to eight clients that never pause."""
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
    """A redeploy under load: its start in seconds since the epoch, its duration, and the record of the load."""

    begun: float
    seconds: float
    record: Record

    @property
    def live_after_s(self) -> float:
        """Seconds from the start to the last request that failed or reached the old release."""
        last = self.record.rows[-1].release
        others = [row.due for row in self.record.rows if row.lost or row.release != last]
        return max(others, default=self.begun) - self.begun


def redeploy_under_load(
    url: str, redeploy: Callable[[], object], is_over: Callable[[], bool] = lambda: True
) -> Redeploy:
    """Redeploys under a load of `RATE` requests a second, on new and kept connections, until none fails any more.

    The load goes on until `is_over`, for what the host does after the command has ended, such as a drain.
    """
    with running_gets(url, rate=RATE) as load:
        load.await_rows(int(RATE) + 1)
        begun = time.time()
        redeploy()
        seconds = time.time() - begun
        until(is_over, within_s=90)
        until(lambda: _no_loss_for(load, 2.0), within_s=90)
    return Redeploy(begun, seconds, load.record)


def _no_loss_for(load: RunningLoad, seconds: float) -> bool:
    recent = load.record.between(time.time() - seconds)
    return len(recent.rows) > RATE * seconds / 2 and not recent.lost
