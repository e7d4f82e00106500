"""Reads from the events of a deploy how long each step took and which of that a setting asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bench.results import Bar

WAITS = ("AnalyseRelease", "WatchRelease")
"""Steps whose length follows from settings: the gate's trial and `watch_s`."""

SWITCH = "PointTraffic"


@dataclass(frozen=True)
class DeploySteps:
    """A deploy from its command's begin to its end, in seconds since the epoch.

    `healthy_s` is the service's `min_healthy_s`, a wait inside the step that awaits health.
    """

    begun: float
    ended: float
    healthy_s: float
    bars: Sequence[Bar]

    @property
    def switched_s(self) -> float:
        """Seconds from the command's begin until the last host sends all users to the new release."""
        return max(bar.begun_s + bar.seconds for bar in self.bars if bar.step == SWITCH)

    @property
    def waits_s(self) -> float:
        """Seconds that settings asked for."""
        total = self.ended - self.begun
        return self._waits(0.0, self.switched_s) + self._waits(self.switched_s, total)

    @property
    def before_switch_s(self) -> float:
        """Seconds from the command's begin to the switch, without the waits."""
        return self.switched_s - self._waits(0.0, self.switched_s)

    @property
    def after_switch_s(self) -> float:
        """Seconds from the switch to the command's end, without the waits."""
        total = self.ended - self.begun
        return total - self.switched_s - self._waits(self.switched_s, total)

    def _waits(self, begin_s: float, end_s: float) -> float:
        """Returns the waits of the steps that began in this time. Hosts wait side by side, so the longest counts."""
        by_step: dict[str, float] = {}
        for bar in self.bars:
            if begin_s <= bar.begun_s < end_s and bar.wait:
                by_step[bar.step] = max(by_step.get(bar.step, 0.0), bar.seconds)
        healthy = self.healthy_s if begin_s == 0.0 else 0.0
        return sum(by_step.values()) + healthy


def read_steps(events: Path, begun: float, ended: float, healthy_s: float) -> DeploySteps:
    """Reads a file that `ship deploy --events` wrote. Raises ValueError if a line isn't an event."""
    bars = []
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if event["event"] != "StepDone":
            continue
        at = datetime.fromisoformat(event["at"]).timestamp()
        seconds, step = float(event["seconds"]), str(event["step"])
        name = str(event["line"]).partition(" (")[0]
        bars.append(Bar(name, step, at - seconds - begun, seconds, step in WAITS))
    return DeploySteps(begun, ended, healthy_s, tuple(bars))
