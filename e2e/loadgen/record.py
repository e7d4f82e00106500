"""The record of a load: one line per request, and the numbers that tests read from it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One request.

    `due` is when the schedule wanted it sent, in seconds since the epoch. `seconds` count from `due`, so a late start
    makes them longer. `way` is how it was sent: fresh, kept, pausing, slow or closed. `status` is 0 if no complete
    response arrived; `error` then says why.
    """

    due: float
    seconds: float
    stream: str
    way: str
    status: int
    release: str
    replica: str
    error: str

    @property
    def lost(self) -> bool:
        """Whether the request got anything but a correct 2xx response."""
        return bool(self.error) or not 200 <= self.status < 300

    def line(self) -> str:
        """Returns the row as a line of the record's file, without the newline."""
        numbers = (f"{self.due:.3f}", f"{self.seconds:.4f}", self.stream, self.way)
        return "\t".join([*numbers, str(self.status), self.release, self.replica, self.error])

    @classmethod
    def parse(cls, line: str) -> Row:
        """Reads a line. Interns the texts, since a record can have a million lines."""
        due, seconds, *words = line.rstrip("\n").split("\t")
        stream, way, status, release, replica, error = (sys.intern(word) for word in words)
        return cls(float(due), float(seconds), stream, way, int(status), release, replica, error)


@dataclass(frozen=True)
class Record:
    """All requests of a load, in the order in which they ended."""

    rows: tuple[Row, ...]

    @classmethod
    def read(cls, file: Path) -> Record:
        """Reads a record's file; returns an empty record if there is none."""
        return Reader(file).read()

    @cached_property
    def lost(self) -> tuple[Row, ...]:
        """The requests that were lost."""
        return tuple(row for row in self.rows if row.lost)

    @property
    def served(self) -> Record:
        """The requests that weren't lost."""
        return Record(tuple(row for row in self.rows if not row.lost))

    @property
    def releases(self) -> Counter[str]:
        """How many requests each release served."""
        return Counter(row.release for row in self.rows if not row.lost)

    @property
    def replicas(self) -> Counter[str]:
        """How many requests each replica served."""
        return Counter(row.replica for row in self.rows if not row.lost)

    def of(self, *streams: str) -> Record:
        """Returns the requests of the streams whose names start with one of `streams`."""
        return Record(tuple(row for row in self.rows if row.stream.startswith(streams)))

    def between(self, begin: float, end: float = float("inf")) -> Record:
        """Returns the requests that were due from `begin` until before `end`, in seconds since the epoch."""
        return Record(tuple(row for row in self.rows if begin <= row.due < end))

    def percentile(self, share: float) -> float:
        """Returns the seconds within which this share of the requests ended; 0 for an empty record."""
        times = sorted(row.seconds for row in self.rows)
        return times[min(int(share * len(times)), len(times) - 1)] if times else 0.0

    def rate(self) -> float:
        """Returns the requests per second between the first due time and the last."""
        if len(self.rows) < 2:
            return 0.0
        dues = [row.due for row in self.rows]
        return len(dues) / max(max(dues) - min(dues), 0.001)

    def summary(self) -> dict[str, object]:
        """Returns the figures of a whole run: counts, latencies in milliseconds, requests by release."""
        return {
            "requests": len(self.rows),
            "lost": len(self.lost),
            "p50_ms": round(self.percentile(0.5) * 1000),
            "p99_ms": round(self.percentile(0.99) * 1000),
            "by_release": self.releases,
        }

    def __str__(self) -> str:
        p99_ms = self.percentile(0.99) * 1000
        text = f"{len(self.lost)} of {len(self.rows)} lost, p99 {p99_ms:.0f} ms"
        if not self.lost:
            return text
        return f"{text}; {dict(_causes(self.lost))}; first: {self.lost[0].line()}"


@dataclass
class Reader:
    """Reads a record's file while it grows. A line that is still being written waits for the next read."""

    file: Path
    _rows: list[Row] = field(default_factory=list)
    _offset: int = 0

    def read(self) -> Record:
        """Returns everything written until now."""
        if self.file.exists():
            with self.file.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._offset += len(whole)
            self._rows += [Row.parse(line) for line in whole.decode().splitlines()]
        return Record(tuple(self._rows))


def _causes(rows: Iterable[Row]) -> Counter[str]:
    return Counter(
        f"{row.stream} {row.way} {row.release or '-'}: {row.error or row.status}" for row in rows
    )
