"""Samples the machine periodically on a background thread, so that requests never wait for a sample."""

import json
import logging
import time
from dataclasses import asdict, dataclass
from threading import Event, Thread

import psutil

from app.readings import (
    ProcessReading,
    Totals,
    UsageReading,
    read_processes,
    read_totals,
    read_usage,
)

_FIRST_INTERVAL_S = 0.1  # rates need two samples; a short first interval makes the start quick
_STALE_AFTER_INTERVALS = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """One sample and its JSON, which is rendered once for all requests."""

    reading: UsageReading
    processes: tuple[ProcessReading, ...]
    monitor_json: bytes
    process_json: bytes
    taken_at_s: float


class Sampler:
    """Takes samples. Start it in the process that serves requests: threads don't survive a fork."""

    def __init__(self, interval_s: float = 1.0) -> None:
        self._interval_s = interval_s
        self._sample: Sample | None = None
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def latest(self) -> Sample | None:
        """Returns the latest sample, None before the first one."""
        return self._sample

    def fresh(self) -> bool:
        """Returns whether the latest sample is at most ten intervals old."""
        sample = self._sample
        if sample is None:
            return False
        return time.monotonic() - sample.taken_at_s < self._interval_s * _STALE_AFTER_INTERVALS

    def _run(self) -> None:
        psutil.cpu_percent(interval=None)
        before = read_totals()
        wait_s = min(_FIRST_INTERVAL_S, self._interval_s)
        while not self._stopped.wait(wait_s):
            wait_s = self._interval_s
            try:
                before = self._take_sample(before)
            except (psutil.Error, OSError):
                # A failed sample is a gap. If all fail, the replica becomes unready (see `fresh`).
                _log.exception("sampling failed")

    def _take_sample(self, before: Totals) -> Totals:
        now = read_totals()
        self._sample = render(read_usage(before, now), read_processes(), now.at_s)
        return now


def render(
    reading: UsageReading, processes: tuple[ProcessReading, ...], taken_at_s: float
) -> Sample:
    return Sample(
        reading=reading,
        processes=processes,
        monitor_json=_json(asdict(reading)),
        process_json=_json({"processes": [asdict(process) for process in processes]}),
        taken_at_s=taken_at_s,
    )


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
