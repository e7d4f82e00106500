"""What every service tells about itself, by one call; it never decides what a service does."""

from telemetry.catalog import Metric
from telemetry.identity import Identity
from telemetry.instrument import Telemetry, instrument
from telemetry.settings import Settings, SettingsError

__all__ = ["Identity", "Metric", "Settings", "SettingsError", "Telemetry", "instrument"]
