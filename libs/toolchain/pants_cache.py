"""Counts what Pants took from its caches, and the time that saved, from what it says at a run's end; never guesses.

https://www.pantsbuild.org/v2.17/docs/anonymous-telemetry names none of this: the counters are those of `--stats-log`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from toolchain.errors import UsageError

COUNTER = re.compile(r"^\s+(local|remote)_(cache_[a-z_]+|process_[a-z_]+): (\d+)$")

NOISE = re.compile(
    r"^\s+(backtrack|docker|local|remote)_[a-z_]+: \d+$|\] Counters:$|plugins=hdrhistogram"
)
WHERE = ("local", "remote")


@dataclass(frozen=True)
class CacheUse:
    """How often a process's result was asked for, how often a cache had it, and seconds saved and spent.

    A result that the local cache lacks is asked of the remote one: it counts once.
    """

    asked: int = 0
    local_hits: int = 0
    remote_hits: int = 0
    saved_s: float = 0.0
    spent_s: float = 0.0

    def __add__(self, other: CacheUse) -> CacheUse:
        return CacheUse(
            self.asked + other.asked,
            self.local_hits + other.local_hits,
            self.remote_hits + other.remote_hits,
            round(self.saved_s + other.saved_s, 1),
            round(self.spent_s + other.spent_s, 1),
        )

    @property
    def line(self) -> str:
        """What a person reads."""
        hits = self.local_hits + self.remote_hits
        share = f"{100 * hits / self.asked:.0f} %" if self.asked else "none asked"
        return (
            f"cache: {hits} of {self.asked} results ({share}), {self.local_hits} local, {self.remote_hits} remote; "
            f"{self.saved_s:.0f} s saved, {self.spent_s:.0f} s spent on the others"
        )


def is_counter(line: str) -> bool:
    """Whether a line is one of the counters."""
    return bool(COUNTER.match(line))


def is_noise(line: str) -> bool:
    """Whether a line belongs to the list of counters, which is for `read_counters` alone."""
    return bool(NOISE.search(line))


def read_counters(lines: Iterable[str]) -> CacheUse:
    """Reads the counters of one run of Pants; a run that told none used no cache."""
    found: dict[str, int] = {}
    for line in lines:
        if told := COUNTER.match(line):
            found[f"{told[1]}_{told[2]}"] = int(told[3])
    saved_ms = sum(found.get(f"{where}_cache_total_time_saved_ms", 0) for where in WHERE)
    spent_ms = sum(found.get(f"{where}_process_total_time_run_ms", 0) for where in WHERE)
    return CacheUse(
        found.get("local_cache_requests", 0),
        found.get("local_cache_requests_cached", 0),
        found.get("remote_cache_requests_cached", 0),
        round(saved_ms / 1000, 1),
        round(spent_ms / 1000, 1),
    )


def write(use: CacheUse, folder: Path, job: str) -> None:
    """Writes one job's figures for the sum."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w-]+", "-", job) or "laptop"
    (folder / f"{name}.json").write_text(json.dumps(asdict(use)) + "\n")


def read_all(folder: Path) -> dict[str, CacheUse]:
    """Reads every job's figures. Raises UsageError for a file that is none; an absent folder has none."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = CacheUse(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{path} holds no figures of a cache.", "Nothing was summed.", f"rm {path}"
            ) from error
    return found
