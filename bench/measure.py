"""Measures a service from outside, in the same way for this project and for plain Compose."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

from docker.models.containers import Container

from bench.idle import cpu_seconds
from e2e.live_sandbox import HostContainer
from e2e.loadgen.process import RunningLoad, half_rate, running_gets
from e2e.loadgen.record import Record
from e2e.ship import until

STARTS = 3
RATE = 50.0  # requests a second during a redeploy
CLIENTS = 8
MONITOR = "/api/monitor"


def median_seconds(call: Callable[[], object], *, times: int = 5) -> float:
    """Returns how long a call takes, in seconds, the median of `times`."""
    return statistics.median(seconds_of(call) for _ in range(times))


def seconds_of(call: Callable[[], object]) -> float:
    """Returns how long one call takes, in seconds."""
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


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


@dataclass(frozen=True)
class Throughput:
    """How many requests a second were answered, and the seconds of CPU that each container spent on one of them."""

    per_s: float
    cpu_s: Mapping[str, float]

    def cpu_us(self, word: str) -> float:
        """Returns the microseconds of CPU that the containers with `word` in their names spent on a request."""
        return 1e6 * sum(seconds for name, seconds in self.cpu_s.items() if word in name)


def throughput(
    url: str, path: str, host: HostContainer | None = None, *, seconds: float = 6.0
) -> Throughput:
    """Measures GETs of a path that are answered without an error, to `CLIENTS` clients that never pause."""
    with running_gets(url, path, closed=CLIENTS) as load:
        load.await_rows(1)
        time.sleep(1)
        used, begun = cpu_seconds(host) if host else {}, time.time()
        time.sleep(seconds)
        ended, used_then = time.time(), cpu_seconds(host) if host else {}
    record = load.record.between(begun, ended)
    answered = len(record.rows) - len(record.lost)
    cpu = {name: (used_then[name] - before) / answered for name, before in used.items()}
    return Throughput(answered / (ended - begun), cpu)


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

    @property
    def lost_percent(self) -> float:
        """The share of the requests that were lost, in percent."""
        return 100 * len(self.record.lost) / len(self.record.rows)

    @property
    def p99_quiet_s(self) -> float:
        """The 99th percentile of the requests before the redeploy."""
        return self.record.between(0, self.begun).percentile(0.99)

    @property
    def p99_s(self) -> float:
        """The 99th percentile of the answered requests during the redeploy."""
        return self.record.served.between(self.begun, self.begun + self.seconds).percentile(0.99)


def redeploy_under_load(
    url: str,
    redeploy: Callable[[], object],
    *,
    rate: float = RATE,
    quiet_s: float = 1.0,
    is_over: Callable[[], bool] = lambda: True,
) -> Redeploy:
    """Redeploys under a load of `rate` requests a second, on new and kept connections, until none fails any more.

    The load begins `quiet_s` before the redeploy and goes on until `is_over`, for what the host does after the command
    has ended, such as a drain.
    """
    with running_gets(url, rate=rate) as load:
        load.await_rows(1)
        time.sleep(quiet_s)
        begun = time.time()
        redeploy()
        seconds = time.time() - begun
        until(is_over, within_s=90)
        until(lambda: _no_loss_for(load, rate, 2.0), within_s=90)
    return Redeploy(begun, seconds, load.record)


def _no_loss_for(load: RunningLoad, rate: float, seconds: float) -> bool:
    recent = load.record.between(time.time() - seconds)
    return len(recent.rows) > rate * seconds / 2 and not recent.lost


def half_load(url: str) -> float:
    """Returns half of the requests a second that the service answers."""
    return half_rate(throughput(url, "/version", seconds=3.0).per_s)
