"""Measures one running stack from outside, the same for every way; it knows neither of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from docker.models.containers import Container

from e2e.loadgen.load import (
    Load,
    Report,
    saturate,
)
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
    saturate(url, "/api/monitor", seconds=1)
    begun = time.monotonic()
    report = saturate(url, "/api/monitor", seconds=seconds)
    return (len(report.answers) - len(report.lost)) / (time.monotonic() - begun)


@dataclass(frozen=True)
class Redeploy:
    """A redeploy under load, begun at `begun` on the monotonic clock: its own time, and what users met."""

    begun: float
    seconds: float
    report: Report

    @property
    def live_after(self) -> float:
        """Seconds until the last request was due that failed or met the release before."""
        last = self.report.answers[-1].release
        others = [each.due for each in self.report.answers if each.lost or each.release != last]
        return max(others, default=self.begun) - self.begun


def redeploy_under_load(url: str, redeploy: Callable[[], object]) -> Redeploy:
    """Redeploys while `RATE` requests a second go on, fresh and keep-alive, until they are all well again."""
    with Load(url, rate=RATE) as load:
        until(lambda: len(load.report.answers) > RATE, within_s=10)
        begun = time.monotonic()
        redeploy()
        seconds = time.monotonic() - begun
        until(lambda: _well_for(load, 2.0), within_s=90)
    return Redeploy(begun, seconds, load.report)


def _well_for(load: Load, seconds: float) -> bool:
    recent = load.report.since(time.monotonic() - seconds)
    return len(recent.answers) > RATE * seconds / 2 and not recent.lost
