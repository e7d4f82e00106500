"""What a run of journeys tells a Pushgateway; a run never fails because nobody listens.

The group is suite and environment, never the run. Only names that are sent are replaced, so a red run, which sends no
time of success, leaves the last one as it was (https://github.com/prometheus/pushgateway#put-method, post).
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from e2e.web_vitals import Vitals

TIMEOUT_S = 5.0
MOST_JOURNEYS = 60


@dataclass
class Journey:
    """One journey, all its variants together."""

    passed: bool = True
    seconds: float = 0.0
    steps: int = 0


@dataclass
class Results:
    """A run while it goes on. `steps` of a journey are the pages and answers that it asked for by itself."""

    journeys: dict[str, Journey] = field(default_factory=dict)
    vitals: Vitals = field(default_factory=Vitals)
    begun: float = field(default_factory=time.monotonic)

    def take(self, name: str, *, passed: bool, seconds: float, steps: int) -> None:
        """Adds the end of a test to its journey."""
        plain = re.sub(r"\[.*", "", name).removeprefix("test_")
        if plain not in self.journeys and len(self.journeys) >= MOST_JOURNEYS:
            plain = "other"
        journey = self.journeys.setdefault(plain, Journey())
        journey.passed &= passed
        journey.seconds += seconds
        journey.steps += steps

    def exposition(self, *, now: float) -> str:
        """Writes the metrics; `now` is Unix time, sent as the last success only where all journeys passed."""
        failed = sum(not each.passed for each in self.journeys.values())
        families: dict[str, Mapping[str, float]] = {
            "e2e_journeys": {"": len(self.journeys)},
            "e2e_failed_journeys": {"": failed},
            "e2e_run_duration_seconds": {"": time.monotonic() - self.begun},
            "e2e_last_run_timestamp_seconds": {"": now},
            "e2e_journey_success": self._each(lambda each: float(each.passed)),
            "e2e_journey_duration_seconds": self._each(lambda each: each.seconds),
            "e2e_journey_steps": self._each(lambda each: float(each.steps)),
            "e2e_web_vital_seconds": {
                f'{{page="{page}",vital="{vital}"}}': value
                for (page, vital), value in sorted(self.vitals.worst.items())
                if vital != "cls"
            },
            "e2e_layout_shift": {
                f'{{page="{page}"}}': value
                for (page, vital), value in sorted(self.vitals.worst.items())
                if vital == "cls"
            },
        }
        if self.journeys and not failed:
            families["e2e_last_success_timestamp_seconds"] = {"": now}
        lines = []
        for name, samples in families.items():
            lines += [f"# TYPE {name} gauge"] if samples else []
            lines += [f"{name}{labels} {value!r}" for labels, value in samples.items()]
        return "\n".join(lines) + "\n"

    def _each(self, value: Callable[[Journey], float]) -> dict[str, float]:
        return {
            f'{{journey="{name}"}}': value(each) for name, each in sorted(self.journeys.items())
        }


def push(results: Results, suite: str, environ: Mapping[str, str]) -> str:
    """Sends the run to SHIP_E2E_PUSHGATEWAY as SHIP_E2E_ENVIRONMENT; returns what went wrong, "" for nothing."""
    gateway = environ.get("SHIP_E2E_PUSHGATEWAY", "").rstrip("/")
    if not gateway or not results.journeys:
        return ""
    environment = quote(environ.get("SHIP_E2E_ENVIRONMENT") or "unknown", safe="")
    url = f"{gateway}/metrics/job/e2e/environment/{environment}/suite/{quote(suite, safe='')}"
    try:
        if not url.startswith(("http://", "https://")):
            return f"{gateway} should start with http:// or https://"
        body = results.exposition(now=time.time()).encode()
        asked = urllib.request.Request(url, body, method="POST")  # noqa: S310 - seen above
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
            answer.read()
    except (OSError, ValueError) as error:
        return f"{gateway}: {error}"
    return ""
