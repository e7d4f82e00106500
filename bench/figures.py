"""What the benchmark measures: each figure's name, unit, and the value that it has to reach."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Unit(StrEnum):
    """How a value is stored and shown."""

    SECONDS = "s"
    BYTES = "bytes"
    PERCENT = "%"
    """Of one core, or of the requests."""
    PER_SECOND = "/s"
    MICROSECONDS = "us"
    COUNT = ""


@dataclass(frozen=True)
class Figure:
    """A row of the table.

    `reach` is the value to reach, in `unit`; with `reach_is_ratio` it is the ratio of this project's value to that of
    plain Compose. None: there is nothing to reach, the row explains others.
    """

    key: str
    name: str
    unit: Unit
    better: Literal["less", "more"] = "less"
    reach: float | None = None
    reach_is_ratio: bool = False

    def text(self, value: float) -> str:
        """Returns a value with its unit."""
        match self.unit:
            case Unit.SECONDS:
                return f"{value * 1000:.0f} ms" if value < 0.1 else f"{value:.2f} s"
            case Unit.BYTES:
                return f"{value / 1e6:.1f} MB" if value >= 1e6 else f"{value / 1e3:.1f} kB"
            case Unit.PERCENT:
                return f"{value:.2f} %"
            case Unit.PER_SECOND:
                return f"{value:.0f} /s"
            case Unit.MICROSECONDS:
                return f"{value:.1f} us"
            case Unit.COUNT:
                return f"{value:g}"

    @property
    def reach_text(self) -> str:
        """What to reach, as the table shows it."""
        if self.reach is None:
            return ""
        return f"{self.reach:g} x plain" if self.reach_is_ratio else self.text(self.reach)

    def reached(self, project: float, plain: float | None) -> bool | None:
        """Whether this project's value reaches its aim; None if there is none, or nothing to compare it with."""
        if self.reach is None or (self.reach_is_ratio and not plain):
            return None
        value = project / plain if self.reach_is_ratio and plain else project
        return value <= self.reach if self.better == "less" else value >= self.reach


S, B, PERCENT, RATE = Unit.SECONDS, Unit.BYTES, Unit.PERCENT, Unit.PER_SECOND
FIGURES = (
    Figure("deploy_before_switch_s", "deploy: all users on the new release, waits apart", S, reach=2.5),
    Figure("deploy_after_switch_s", "deploy: from there to the command's end, waits apart", S, reach=1.0),
    Figure("deploy_waits_s", "deploy: waits that settings ask for", S),
    Figure("redeploy_s", "deploy: the command, waits included", S),
    Figure("live_after_s", "deploy: last answer of the old release after", S),
    Figure("lost", "deploy: requests lost", PERCENT, reach=0.0),
    Figure("p99_quiet_s", "p99 at half load, quiet", S),
    Figure("p99_switch_s", "p99 at half load, during a deploy", S, reach=0.1),
    Figure("rollback_live_s", "rollback: all users on the old release", S, reach=2.0),
    Figure("rollback_s", "rollback: the command", S, reach=3.0),
    Figure("change_live_s", "one-line change: tested, built, pushed, live", S, reach=15.0),
    Figure("change_test_s", "  of which: what it reaches is tested", S),
    Figure("change_build_s", "  of which: built and pushed", S),
    Figure("unchanged_s", "deploy with nothing changed", S, reach=1.0),
    Figure("affected_s", "ship affected after a commit, warm", S, reach=4.0),
    Figure("help_s", "ship --help", S, reach=0.25),
    Figure("status_s", "ship status", S, reach=0.5),
    Figure("up_s", "ship up, caches warm, nothing running", S, reach=15.0),
    Figure("image_bytes", "image", B),
    Figure("image_gzip_bytes", "image, gzipped", B, reach=18e6),
    Figure("layers", "layers", Unit.COUNT),
    Figure("pushed_change_bytes", "pushed after a one-line change", B, reach=20e3),
    Figure("first_answer_s", "start to first answer", S, reach=0.3),
    Figure("replica_memory_bytes", "a replica's memory", B, reach=32e6),
    Figure("replica_cpu", "a replica's idle CPU, of one core", PERCENT, reach=0.5),
    Figure("stacks_memory_bytes", "memory of what a host runs beside services", B, reach=150e6),
    Figure("stacks_cpu", "its idle CPU, scraped every 15 s", PERCENT, reach=2.0),
    Figure("host_cpu", "the whole host when idle: five replicas, stacks, engine", PERCENT),
    Figure("home_per_s", "GET / through nginx", RATE, "more", reach=1.3, reach_is_ratio=True),
    Figure("monitor_per_s", "GET /api/monitor through nginx", RATE, "more", reach=1.3, reach_is_ratio=True),
    Figure("nginx_us", "  of a request: nginx's CPU", Unit.MICROSECONDS),
    Figure("replica_us", "  of a request: the replica's CPU (gunicorn, Flask, view)", Unit.MICROSECONDS),
    Figure("telemetry_us", "  of which: telemetry", Unit.MICROSECONDS, reach=25.0),
)  # fmt: skip
BY_KEY = {figure.key: figure for figure in FIGURES}
