"""The sampler's thread."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from app import sampler as sampler_module
from app.readings import Totals, read_totals
from app.sampler import Sampler
from telemetry.testing import wait_until

NEVER_S = 3600.0


class Counters:
    """Reads the machine's counters, remembers when, and fails on request."""

    def __init__(self) -> None:
        self.read_at_s: list[float] = []
        self.fails = False

    def read(self) -> Totals:
        if self.fails:
            raise OSError("no counters")
        totals = read_totals()
        self.read_at_s.append(totals.at_s)
        return totals


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> Counters:
    counters = Counters()
    monkeypatch.setattr(sampler_module, "read_totals", counters.read)
    return counters


def pause(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end)


def test_samples_are_taken_until_the_sampler_stops() -> None:
    sampler = Sampler(interval_s=0.02, idle_interval_s=0.05)
    assert sampler.latest() is None
    assert not sampler.fresh()
    sampler.start()
    wait_until(sampler.fresh)
    first = sampler.latest()
    wait_until(lambda: sampler.latest() is not first)
    sampler.stop()
    assert not any(thread.name == "sampler" for thread in threading.enumerate())
    wait_until(lambda: not sampler.fresh())  # a stopped sampler counts as stale


def test_without_requests_samples_are_an_idle_interval_apart(counters: Counters) -> None:
    sampler = Sampler(interval_s=0.01, idle_interval_s=0.1)
    sampler.start()
    wait_until(lambda: len(counters.read_at_s) >= 5)
    sampler.stop()
    _, *taken_at_s = counters.read_at_s  # the first reading starts the first interval
    gaps = [later - earlier for earlier, later in pairwise(taken_at_s)]
    assert min(gaps) >= 0.09


def test_a_request_after_a_pause_gets_a_fresh_sample(counters: Counters) -> None:
    sampler = Sampler(interval_s=0.05, idle_interval_s=NEVER_S)
    sampler.start()
    wait_until(sampler.fresh)
    for _ in range(3):
        pause(0.06)
        requested_at_s = time.monotonic()
        sample = sampler.latest()
        assert sample is not None
        assert sample.taken_at_s >= requested_at_s
    sampler.stop()
    assert len(counters.read_at_s) == 5  # two for the first sample, one for each request


def test_many_requests_share_one_sample_in_each_interval(counters: Counters) -> None:
    sampler = Sampler(interval_s=0.1, idle_interval_s=NEVER_S)
    sampler.start()
    wait_until(sampler.fresh)
    end = time.monotonic() + 0.4
    with ThreadPoolExecutor(8) as pool:
        while time.monotonic() < end:
            list(pool.map(lambda _: sampler.latest(), range(100)))
    sampler.stop()
    _, _, *taken_at_s = counters.read_at_s
    assert taken_at_s
    gaps = [later - earlier for earlier, later in pairwise(taken_at_s)]
    assert min(gaps, default=1.0) >= 0.09


def test_a_request_gets_the_old_sample_if_sampling_fails(
    counters: Counters, caplog: pytest.LogCaptureFixture
) -> None:
    sampler = Sampler(interval_s=0.02, idle_interval_s=0.05)
    sampler.start()
    wait_until(sampler.fresh)
    counters.fails = True
    wait_until(lambda: not sampler.fresh())
    last = sampler.latest()
    pause(0.05)
    assert last is not None
    assert sampler.latest() is last
    assert "sampling failed" in caplog.text
    counters.fails = False
    wait_until(sampler.fresh)
    sampler.stop()


def test_a_samples_json_has_all_documented_fields() -> None:
    sampler = Sampler(interval_s=0.02, idle_interval_s=0.05)
    sampler.start()
    wait_until(sampler.fresh)
    sampler.stop()
    sample = sampler.latest()
    assert sample is not None
    assert json.loads(sample.monitor_json).keys() >= {
        "cpu",
        "mem",
        "disk",
        "net_sent",
        "net_recv",
        "disk_read",
        "disk_write",
        "interval_s",
    }
    for process in json.loads(sample.process_json)["processes"]:
        assert process.keys() == {"pid", "name", "memory_percent", "num_threads", "cpu_times"}
