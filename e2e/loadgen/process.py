"""Starts the traffic program beside a test and reads its record; it asks nothing itself."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from e2e.loadgen.generator import (
    TIMEOUT_S,
    Plan,
    Stream,
)
from e2e.loadgen.record import Reader, Record
from e2e.ship import until

LEAST_RATE = 50.0


def streams_of(app_host: str, fixture_host: str) -> tuple[Stream, ...]:
    """What is asked of the two services, in turn."""
    return (
        Stream("app:/", "GET", "/", app_host),
        Stream("fixture:get", "GET", "/", fixture_host),
        Stream("app:monitor", "GET", "/api/monitor", app_host),
        Stream("fixture:post", "POST", "/", fixture_host),
    )


@dataclass(frozen=True)
class Running:
    """A load that is under way."""

    plan: Plan
    reader: Reader

    @property
    def record(self) -> Record:
        """What was answered until now."""
        return self.reader.record

    def await_rows(self, count: int, *, within_s: float = 20) -> None:
        """Waits until so many requests have ended."""
        until(lambda: len(self.record.rows) >= count, within_s=within_s)


@contextmanager
def running(plan: Plan) -> Iterator[Running]:
    """Keeps the load going for as long as the context lives; then waits for what is under way."""
    file = Path(plan.out).with_suffix(".plan.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(plan.dump())
    Path(plan.out).unlink(missing_ok=True)  # or a reader takes the last run's rows for this one's
    process = subprocess.Popen(
        [sys.executable, "-m", "e2e.loadgen.generator", str(file)],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.PIPE,
    )
    try:
        yield Running(plan, Reader(Path(plan.out)))
        assert process.poll() is None, "the load ended by itself"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(TIMEOUT_S + 30)


def saturated(plan: Plan, *, seconds: float) -> float:
    """How many requests a second are answered when sixteen clients ask as fast as they can."""
    out = str(Path(plan.out).with_name("saturated.tsv"))
    with running(replace(plan, out=out, closed=16, pausing=0, slow=0)) as load:
        load.await_rows(32)
        time.sleep(seconds)
        record = load.record
    assert not record.lost, f"quiet replicas lost requests: {record}"
    return record.rate()


def half_of(rate: float) -> float:
    """The rate of the proof: half of what quiet replicas serve, and never less than the least."""
    return max(LEAST_RATE, rate / 2)
