"""The raw record of a load, a line a request, and what can be read from it; it never sends anything."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One request. `due` is seconds since the epoch; `seconds` run from then, so a late start counts.

    `status` is 0 where no whole answer came; `error` then says why.
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
        """Whether it came to anything but a right answer."""
        return bool(self.error) or not 200 <= self.status < 300

    def line(self) -> str:
        """As it stands in the file."""
        told = (f"{self.due:.3f}", f"{self.seconds:.4f}", self.stream, self.way, str(self.status))
        return "\t".join([*told, self.release, self.replica, self.error])

    @classmethod
    def parse(cls, line: str) -> Row:
        """Reads a line; equal words are one object, for there are a million lines."""
        due, seconds, *words = line.rstrip("\n").split("\t")
        stream, way, status, release, replica, error = (sys.intern(word) for word in words)
        return cls(float(due), float(seconds), stream, way, int(status), release, replica, error)


@dataclass(frozen=True)
class Record:
    """What came of a load."""

    rows: tuple[Row, ...]

    @classmethod
    def read(cls, file: Path) -> Record:
        """Reads what is there of a record."""
        return Reader(file).record

    @cached_property
    def lost(self) -> tuple[Row, ...]:
        """Those that failed."""
        return tuple(row for row in self.rows if row.lost)

    @property
    def releases(self) -> Counter[str]:
        """How many each release answered."""
        return Counter(row.release for row in self.rows if not row.lost)

    def of(self, *streams: str) -> Record:
        """Those of streams whose name begins so."""
        return Record(tuple(row for row in self.rows if row.stream.startswith(streams)))

    def between(self, begin: float, end: float = float("inf")) -> Record:
        """Those that were due in this time."""
        return Record(tuple(row for row in self.rows if begin <= row.due < end))

    def percentile(self, share: float) -> float:
        """Seconds within which this share was answered; 0 without any."""
        times = sorted(row.seconds for row in self.rows)
        return times[min(int(share * len(times)), len(times) - 1)] if times else 0.0

    def rate(self) -> float:
        """Requests a second, from the first that was due to the last."""
        if len(self.rows) < 2:
            return 0.0
        dues = [row.due for row in self.rows]
        return len(dues) / max(max(dues) - min(dues), 0.001)

    def summary(self) -> dict[str, object]:
        """What is told of a whole run: counts, milliseconds, and who answered."""
        return {
            "requests": len(self.rows),
            "lost": len(self.lost),
            "p50_ms": round(self.percentile(0.5) * 1000),
            "p99_ms": round(self.percentile(0.99) * 1000),
            "by_release": self.releases,
        }

    def __str__(self) -> str:
        told = (
            f"{len(self.lost)} of {len(self.rows)} lost, p99 {self.percentile(0.99) * 1000:.0f} ms"
        )
        if not self.lost:
            return told
        return f"{told}; {dict(_causes(self.lost))}; first: {self.lost[0].line()}"


@dataclass
class Reader:
    """Reads a record that grows; a last line that is still being written is left for the next time."""

    file: Path
    _rows: list[Row] = field(default_factory=list)
    _offset: int = 0

    @property
    def record(self) -> Record:
        """All that is there now."""
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
