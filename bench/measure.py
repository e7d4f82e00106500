"""Measures a service from outside, in the same way for this project and for plain Compose."""

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
    """Returns how many GETs of /api/monitor succeed in a second, with eight clients that never pause."""
    saturate(url, "/api/monitor", seconds=1)
    started = time.monotonic()
    report = saturate(url, "/api/monitor", seconds=seconds)
    return (len(report.answers) - len(report.lost)) / (time.monotonic() - started)


@dataclass(frozen=True)
class Redeploy:
    """A redeploy under load: its start on the monotonic clock, its duration and the report of the load."""

    started: float
    seconds: float
    report: Report

    @property
    def live_after_s(self) -> float:
        """Seconds from the start to the last request that failed or reached the old release."""
        answers = self.report.answers
        new = answers[-1].release
        not_yet = [answer.due for answer in answers if answer.lost or answer.release != new]
        return max(not_yet, default=self.started) - self.started


def redeploy_under_load(url: str, redeploy: Callable[[], object]) -> Redeploy:
    """Redeploys under a load of `RATE` requests a second, on new and kept connections, until none fails any more."""
    with Load(url, rate=RATE) as load:
        until(lambda: len(load.report.answers) > RATE, within_s=10)
        started = time.monotonic()
        redeploy()
        seconds = time.monotonic() - started
        until(lambda: _no_loss_for(load, 2.0), within_s=90)
    return Redeploy(started, seconds, load.report)


def _no_loss_for(load: Load, seconds: float) -> bool:
    recent = load.report.since(time.monotonic() - seconds)
    return len(recent.answers) > RATE * seconds / 2 and not recent.lost
