"""Metrics, traces, logs and probes for any Flask service: call `instrument(app)`."""

from telemetry.catalog import Metric
from telemetry.identity import Identity
from telemetry.instrument import Telemetry, instrument
from telemetry.settings import Settings, SettingsError

__all__ = ["Identity", "Metric", "Settings", "SettingsError", "Telemetry", "instrument"]
