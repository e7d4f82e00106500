"""Pushes the results of a run of journeys to a Pushgateway.

A run's metrics replace those of the last run of the same suite and environment. A POST replaces only the metrics that
it contains. A failed run sends no time of success, so that of the last successful run stays
(https://github.com/prometheus/pushgateway#put-method).
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from e2e.web_vitals import WebVitals

TIMEOUT_S = 5.0
MAX_JOURNEYS = 60


@dataclass
class Journey:
    """The result of one journey over all its variants. `steps` are the pages that it opened."""

    passed: bool = True
    seconds: float = 0.0
    steps: int = 0


@dataclass
class JourneyResults:
    """The results of a run, collected while it runs."""

    journeys: dict[str, Journey] = field(default_factory=dict)
    vitals: WebVitals = field(default_factory=WebVitals)
    begun: float = field(default_factory=time.monotonic)

    def add(self, name: str, *, passed: bool, seconds: float, steps: int) -> None:
        """Adds the result of a test to its journey. Journeys beyond MAX_JOURNEYS are counted as "other"."""
        journey_name = re.sub(r"\[.*", "", name).removeprefix("test_")
        if journey_name not in self.journeys and len(self.journeys) >= MAX_JOURNEYS:
            journey_name = "other"
        journey = self.journeys.setdefault(journey_name, Journey())
        journey.passed &= passed
        journey.seconds += seconds
        journey.steps += steps

    def render_metrics(self, *, now: float, monitored: bool = False) -> str:
        """Renders the metrics in Prometheus' text format.

        `now` is Unix time. It becomes the time of the last success only if all journeys passed. A run of a monitor says
        so, since an alert expects the next one. The word stays when a single run follows.
        """
        failed = sum(not journey.passed for journey in self.journeys.values())
        families: dict[str, Mapping[str, float]] = {
            "e2e_journeys": {"": len(self.journeys)},
            "e2e_failed_journeys": {"": failed},
            "e2e_run_duration_seconds": {"": time.monotonic() - self.begun},
            "e2e_last_run_timestamp_seconds": {"": now},
            "e2e_journey_success": self._by_journey(lambda journey: float(journey.passed)),
            "e2e_journey_duration_seconds": self._by_journey(lambda journey: journey.seconds),
            "e2e_journey_steps": self._by_journey(lambda journey: float(journey.steps)),
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
        if monitored:
            families["e2e_monitored"] = {"": 1}
        if self.journeys and not failed:
            families["e2e_last_success_timestamp_seconds"] = {"": now}
        lines = []
        for name, samples in families.items():
            lines += [f"# TYPE {name} gauge"] if samples else []
            lines += [f"{name}{labels} {value!r}" for labels, value in samples.items()]
        return "\n".join(lines) + "\n"

    def _by_journey(self, value: Callable[[Journey], float]) -> dict[str, float]:
        return {
            f'{{journey="{name}"}}': value(journey)
            for name, journey in sorted(self.journeys.items())
        }


def push(results: JourneyResults, suite: str, environ: Mapping[str, str]) -> str | None:
    """Sends the results to SHIP_E2E_PUSHGATEWAY as those of SHIP_E2E_ENVIRONMENT.

    Returns what went wrong; None if nothing did, or if there is no gateway or no result.
    """
    gateway = environ.get("SHIP_E2E_PUSHGATEWAY", "").rstrip("/")
    if not gateway or not results.journeys:
        return None
    environment = quote(environ.get("SHIP_E2E_ENVIRONMENT") or "unknown", safe="")
    url = f"{gateway}/metrics/job/e2e/environment/{environment}/suite/{quote(suite, safe='')}"
    try:
        if not url.startswith(("http://", "https://")):
            return f"{gateway} should start with http:// or https://"
        monitored = bool(environ.get("SHIP_E2E_MONITORED"))
        body = results.render_metrics(now=time.time(), monitored=monitored).encode()
        request = urllib.request.Request(url, body, method="POST")  # noqa: S310 - checked above
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            answer.read()
    except (OSError, ValueError) as error:
        return f"{gateway}: {error}"
    return None
