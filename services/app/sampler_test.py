"""The sampler's thread."""

import json
import threading

from app.sampler import Sampler
from telemetry.testing import wait_until


def test_samples_are_taken_until_the_sampler_stops() -> None:
    sampler = Sampler(interval_s=0.05)
    assert sampler.latest() is None
    assert not sampler.fresh()
    sampler.start()
    wait_until(sampler.fresh)
    first = sampler.latest()
    wait_until(lambda: sampler.latest() is not first)
    sampler.stop()
    assert not any(thread.name == "sampler" for thread in threading.enumerate())
    wait_until(lambda: not sampler.fresh())  # a stopped sampler counts as stale


def test_a_samples_json_has_all_documented_fields() -> None:
    sampler = Sampler(interval_s=0.05)
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
