"""The service level objectives, the one place where they stand; rules, dashboards and reports read them here.

Every service has the same: users' requests as the edge answers them, so that what never reached a replica counts too.
The windows and factors are those of https://sre.google/workbook/alerting-on-slos/ (multi-window, multi-burn-rate).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AVAILABILITY = 0.999
"""The share of requests that are answered without a 5xx."""

LATENCY = 0.99
"""The share of requests that are answered within LATENCY_LIMIT_S."""

LATENCY_LIMIT_S = 0.25
"""Seconds; a bucket of the histograms ends here."""

PERIOD_DAYS = 30
"""Over how long the error budget (1 - objective) is counted."""

FEWEST_REQUESTS = 100
"""In the long window: below it a few unlucky requests would page somebody."""

type Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Burn:
    """An alert's condition: both windows burn the budget `factor` times as fast as it may be burnt."""

    factor: float
    long: str
    short: str
    severity: Severity


BURNS = (
    Burn(14.4, "1h", "5m", "critical"),
    Burn(6.0, "6h", "30m", "critical"),
    Burn(3.0, "1d", "2h", "warning"),
    Burn(1.0, "3d", "6h", "warning"),
)

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
SECONDS = {"5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21600, "1d": 86400, "3d": 259200}
