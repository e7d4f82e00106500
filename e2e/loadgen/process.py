"""Runs the load generator as a process beside a test and reads its record while it grows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from e2e.loadgen.generator import (
    TIMEOUT_S,
    LoadProfile,
    Stream,
)
from e2e.loadgen.record import Reader, Record
from e2e.ship import until

MIN_RATE = 50.0


def app_and_fixture_streams(app_host: str, fixture_host: str) -> tuple[Stream, ...]:
    """Returns GETs of the app and GETs and POSTs of the fixture service, in the order in which they are sent."""
    return (
        Stream("app:/", "GET", "/", app_host),
        Stream("fixture:get", "GET", "/", fixture_host),
        Stream("app:monitor", "GET", "/api/monitor", app_host),
        Stream("fixture:post", "POST", "/", fixture_host),
    )


@dataclass(frozen=True)
class RunningLoad:
    """A load in progress."""

    profile: LoadProfile
    reader: Reader

    @property
    def record(self) -> Record:
        """All requests that have ended by now. The generator flushes its rows every 0.25 s."""
        return self.reader.read()

    def await_rows(self, count: int, *, within_s: float = 20) -> None:
        """Waits until `count` requests have ended. Raises AssertionError if that takes too long."""
        until(lambda: len(self.record.rows) >= count, within_s=within_s)


@contextmanager
def running_load(profile: LoadProfile) -> Iterator[RunningLoad]:
    """Runs a load while the context lives, then waits for the requests in flight."""
    file = Path(profile.out).with_suffix(".profile.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(profile.dump())
    Path(profile.out).unlink(missing_ok=True)  # a reader must not take an earlier run's rows
    process = subprocess.Popen(
        [sys.executable, "-m", "e2e.loadgen.generator", str(file)],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.PIPE,
    )
    try:
        yield RunningLoad(profile, Reader(Path(profile.out)))
        assert process.poll() is None, "the load generator ended before it was stopped"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(TIMEOUT_S + 30)


@contextmanager
def running_gets(
    url: str, path: str = "/version", *, rate: float = 40.0, closed: int = 0
) -> Iterator[RunningLoad]:
    """Runs a load of GETs of one path while the context lives; its record stays readable afterwards.

    Sends `rate` requests per second, or with `closed` clients as many as are answered.
    """
    with TemporaryDirectory(prefix="load-") as folder:
        stream = Stream(f"get:{path}", "GET", path, urlsplit(url).netloc)
        out = str(Path(folder, "raw.tsv"))
        profile = LoadProfile(url, out, (stream,), rate=rate, closed=closed)
        with running_load(profile) as load:
            yield load
        load.reader.read()  # the last rows, before the folder is removed


def measure_capacity(profile: LoadProfile, *, seconds: float) -> float:
    """Returns the requests per second that are answered when sixteen clients send as fast as they can."""
    out = str(Path(profile.out).with_name("saturated.tsv"))
    with running_load(replace(profile, out=out, closed=16, pausing=0, slow=0)) as load:
        load.await_rows(32)
        time.sleep(seconds)
        record = load.record
    assert not record.lost, f"requests were lost without a rollout: {record}"
    return record.rate()


def half_rate(capacity: float) -> float:
    """Returns half of the measured capacity, but no less than MIN_RATE."""
    return max(MIN_RATE, capacity / 2)
