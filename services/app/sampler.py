"""Samples the machine on a background thread: when requests want to know, and rarely otherwise."""

import json
import logging
import time
from dataclasses import asdict, dataclass
from threading import Condition, Thread

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
_STALE_AFTER_IDLE_INTERVALS = 3
_PATIENCE_S = 1.0  # the longest time that a request waits for a sample

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
    """Takes samples. Start it in the process that serves requests: threads don't survive a fork.

    Samples are at least `interval_s` apart, however many requests arrive. Without requests they are
    `idle_interval_s` apart: then a request still gets rates of recent time, and a failure shows in the
    readiness of a replica that gets no requests.
    """

    def __init__(self, interval_s: float = 1.0, idle_interval_s: float = 5.0) -> None:
        self._interval_s = interval_s
        self._idle_interval_s = idle_interval_s
        self._sample: Sample | None = None
        self._thread = Thread(target=self._run, name="sampler", daemon=True)
        # Guards the attributes below, and is notified of every change.
        self._changed = Condition()
        self._stopped = False
        self._wanted = False
        self._attempts = 0
        self._attempted_at_s = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def latest(self) -> Sample | None:
        """Returns a sample that is at most one interval old, an older one if sampling fails, None before the
        first one. Waits for the thread if the latest sample is older, which takes some milliseconds."""
        with self._changed:
            pause_s = time.monotonic() - self._attempted_at_s
            if self._sample is not None and pause_s >= self._interval_s and not self._stopped:
                self._wanted = True
                self._changed.notify_all()
                # After a longer pause the thread is stuck, and waiting would block one request after another.
                if pause_s < self._idle_interval_s + _PATIENCE_S:
                    attempts = self._attempts
                    self._changed.wait_for(
                        lambda: self._stopped or self._attempts > attempts, _PATIENCE_S
                    )
        return self._sample

    def fresh(self) -> bool:
        """Returns whether the latest sample is at most three idle intervals old."""
        sample = self._sample
        if sample is None:
            return False
        stale_after_s = self._idle_interval_s * _STALE_AFTER_IDLE_INTERVALS
        return time.monotonic() - sample.taken_at_s < stale_after_s

    def _run(self) -> None:
        psutil.cpu_percent(interval=None)
        before = read_totals()
        first_interval_s = min(_FIRST_INTERVAL_S, self._interval_s)
        due = self._wait(first_interval_s, first_interval_s)
        while due:
            try:
                before = self._take_sample(before)
            except (psutil.Error, OSError):
                # A failed sample is a gap. If all fail, the replica becomes unready (see `fresh`).
                _log.exception("sampling failed")
            with self._changed:
                self._wanted = False
                self._attempts += 1
                self._attempted_at_s = time.monotonic()
                self._changed.notify_all()
            due = self._wait(self._interval_s, self._idle_interval_s)

    def _wait(self, shortest_s: float, longest_s: float) -> bool:
        """Waits until the next sample is due. Returns False if the sampler has been stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, shortest_s)
            self._changed.wait_for(lambda: self._stopped or self._wanted, longest_s - shortest_s)
            return not self._stopped

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
