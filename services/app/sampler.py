"""Looks at the machine again and again on a thread of its own; a request only takes what lies
ready, and never waits for a look."""

import json
import logging
import time
from dataclasses import asdict, dataclass
from threading import Event, Thread

import psutil

from app.readings import (
    Process,
    Reading,
    Totals,
    read_machine,
    read_processes,
    read_totals,
)

_FIRST_INTERVAL_S = 0.1  # a rate needs two looks; the first pair is close so that start is quick
_STALE_AFTER_INTERVALS = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """One look with its JSON: it is rendered once, however many ask for it."""

    reading: Reading
    processes: tuple[Process, ...]
    monitor_json: bytes
    process_json: bytes
    taken_at_s: float


class Sampler:
    """Start it once, in the process that serves: a thread doesn't survive a fork."""

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
        """None until the first look is done; `fresh` tells."""
        return self._sample

    def fresh(self) -> bool:
        """Whether there is a sample and looks still go on."""
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
                before = self._look(before)
            except (psutil.Error, OSError):
                # One look that fails is a gap; readiness notices when they go on failing.
                _log.exception("sampling failed")

    def _look(self, before: Totals) -> Totals:
        now = read_totals()
        self._sample = render(read_machine(before, now), read_processes(), now.at_s)
        return now


def render(reading: Reading, processes: tuple[Process, ...], taken_at_s: float) -> Sample:
    return Sample(
        reading=reading,
        processes=processes,
        monitor_json=_json(asdict(reading)),
        process_json=_json({"processes": [asdict(process) for process in processes]}),
        taken_at_s=taken_at_s,
    )


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
