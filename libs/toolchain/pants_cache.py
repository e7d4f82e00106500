"""Reads from the output of `pants --stats-log` how many results came from caches and the time this saved.

The counters' names appear only in the output: the documentation doesn't list them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolchain.errors import UsageError

COUNTER = re.compile(r"^\s+(local|remote)_(cache_[a-z_]+|process_[a-z_]+): (\d+)$")

STATS_OUTPUT = re.compile(
    r"^\s+(backtrack|docker|local|remote)_[a-z_]+: \d+$|\] Counters:$|plugins=hdrhistogram"
)
CACHES = ("local", "remote")


@dataclass(frozen=True)
class CacheUse:
    """How many results Pants looked up, how many each cache had, seconds saved by hits and spent on misses.

    A lookup that misses the local cache and goes on to the remote one counts once.
    """

    requests: int = 0
    local_hits: int = 0
    remote_hits: int = 0
    saved_s: float = 0.0
    spent_s: float = 0.0

    def __add__(self, other: CacheUse) -> CacheUse:
        return CacheUse(
            self.requests + other.requests,
            self.local_hits + other.local_hits,
            self.remote_hits + other.remote_hits,
            round(self.saved_s + other.saved_s, 1),
            round(self.spent_s + other.spent_s, 1),
        )

    @property
    def line(self) -> str:
        """One line for people."""
        hits = self.local_hits + self.remote_hits
        share = f"{100 * hits / self.requests:.0f} %" if self.requests else "no lookups"
        return (
            f"cache: {hits} of {self.requests} results ({share}), {self.local_hits} local, {self.remote_hits} remote; "
            f"{self.saved_s:.0f} s saved, {self.spent_s:.0f} s spent on the rest"
        )

    @property
    def document(self) -> dict[str, Any]:
        """The figures as JSON has them."""
        figures = asdict(self)
        return {"asked": figures.pop("requests"), **figures}

    @classmethod
    def of(cls, document: dict[str, Any]) -> CacheUse:
        """Reads what `document` returns. Raises KeyError or TypeError for anything else."""
        figures = dict(document)
        return cls(requests=figures.pop("asked"), **figures)


def is_counter(line: str) -> bool:
    """Returns whether a line of output is a counter that `read_counters` uses."""
    return bool(COUNTER.match(line))


def is_stats_output(line: str) -> bool:
    """Returns whether a line belongs to the list of counters, which the user doesn't need to see."""
    return bool(STATS_OUTPUT.search(line))


def read_counters(lines: Iterable[str]) -> CacheUse:
    """Returns the cache use of one run of Pants; zeros if it printed no counters."""
    counters: dict[str, int] = {}
    for line in lines:
        if match := COUNTER.match(line):
            counters[f"{match[1]}_{match[2]}"] = int(match[3])
    saved_ms = sum(counters.get(f"{cache}_cache_total_time_saved_ms", 0) for cache in CACHES)
    spent_ms = sum(counters.get(f"{cache}_process_total_time_run_ms", 0) for cache in CACHES)
    return CacheUse(
        counters.get("local_cache_requests", 0),
        counters.get("local_cache_requests_cached", 0),
        counters.get("remote_cache_requests_cached", 0),
        round(saved_ms / 1000, 1),
        round(spent_ms / 1000, 1),
    )


def write(use: CacheUse, folder: Path, job: str | None) -> None:
    """Writes the figures of one CI job, or of a run outside CI if `job` is None, as a file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w-]+", "-", job or "laptop")
    (folder / f"{name}.json").write_text(json.dumps(use.document) + "\n")


def read_all(folder: Path) -> dict[str, CacheUse]:
    """Returns the figures by job, empty if `folder` is missing. Raises UsageError for a file of another form."""
    uses = {}
    for path in sorted(folder.glob("*.json")):
        try:
            uses[path.stem] = CacheUse.of(json.loads(path.read_text()))
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{path} holds no cache figures.", "Nothing was summed.", f"rm {path}"
            ) from error
    return uses
