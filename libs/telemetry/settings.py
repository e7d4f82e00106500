"""Settings of a replica, read from its environment variables and validated together."""

from collections.abc import Mapping
from dataclasses import dataclass

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_MAX_DRAIN_NOTICE_S = 25.0  # leaves requests in flight 5 of gunicorn's 30 s
_HUNG_AFTER_S = (1.0, 86400.0)


class SettingsError(ValueError):
    """The environment is invalid. `problems` has one line per problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True)
class Settings:
    """Port 0 picks a free port. `drain_notice_s` is how long a stopping replica still accepts requests
    while `/readyz` already answers 503. A worker without a free thread, in which no request went on for
    `hung_after_s`, counts as hung."""

    bind_address: str = "0.0.0.0"  # noqa: S104 - the edge connects to the container's address
    port: int = 8080
    metrics_port: int = 9100
    log_level: str = "info"
    drain_notice_s: float = 2.0
    hung_after_s: float = 60.0
    traces_enabled: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Returns the settings. Raises SettingsError with all problems at once."""
        problems: list[str] = []
        settings = cls(
            bind_address=environ.get("BIND_ADDRESS") or cls.bind_address,
            port=_port(environ, "PORT", cls.port, problems),
            metrics_port=_port(environ, "METRICS_PORT", cls.metrics_port, problems),
            log_level=_log_level(environ, problems),
            drain_notice_s=_seconds(
                environ, "DRAIN_NOTICE_S", cls.drain_notice_s, (0, _MAX_DRAIN_NOTICE_S), problems
            ),
            hung_after_s=_seconds(
                environ, "HUNG_AFTER_S", cls.hung_after_s, _HUNG_AFTER_S, problems
            ),
            traces_enabled=_traces_enabled(environ),
        )
        if settings.port and settings.port == settings.metrics_port:
            problems.append(f"METRICS_PORT: must differ from PORT, both are {settings.port}")
        if problems:
            raise SettingsError(problems)
        return settings


def _port(environ: Mapping[str, str], name: str, default: int, problems: list[str]) -> int:
    text = environ.get(name) or str(default)
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    problems.append(f"{name}: should be a port from 0 to 65535, is {text!r}")
    return default


def _log_level(environ: Mapping[str, str], problems: list[str]) -> str:
    level = (environ.get("LOG_LEVEL") or "info").lower()
    if level not in LOG_LEVELS:
        problems.append(f"LOG_LEVEL: should be one of {', '.join(LOG_LEVELS)}, is {level!r}")
    return level


def _seconds(
    environ: Mapping[str, str],
    name: str,
    default: float,
    limits: tuple[float, float],
    problems: list[str],
) -> float:
    text = environ.get(name) or str(default)
    least, most = limits
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not least <= seconds <= most:
        problems.append(f"{name}: should be {least:g} to {most:g} seconds, is {text!r}")
    return seconds


def _traces_enabled(environ: Mapping[str, str]) -> bool:
    """Returns whether OpenTelemetry's own variables configure an exporter.

    https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return bool(
        environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )
