"""Service level objectives, shared by rules, dashboards and reports.

All services have the same. They count requests at the edge, including those that reached no replica.
Windows and factors are from https://sre.google/workbook/alerting-on-slos/ (multi-window, multi-burn-rate).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AVAILABILITY = 0.999
"""Minimum share of requests answered without a 5xx."""

LATENCY = 0.99
"""Minimum share of requests answered within LATENCY_LIMIT_S."""

LATENCY_LIMIT_S = 0.25
"""Seconds. A bucket of the latency histograms must end here."""

PERIOD_DAYS = 30
"""Period of the error budget (1 - objective)."""

MIN_REQUESTS = 100
"""Minimum in the long window; with fewer requests, a few errors would already page someone."""

type Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class BurnRate:
    """An alert condition: in both windows the budget burns `factor` times as fast as it may."""

    factor: float
    long: str
    short: str
    severity: Severity


BURN_RATES = (
    BurnRate(14.4, "1h", "5m", "critical"),
    BurnRate(6.0, "6h", "30m", "critical"),
    BurnRate(3.0, "1d", "2h", "warning"),
    BurnRate(1.0, "3d", "6h", "warning"),
)

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
