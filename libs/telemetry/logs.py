"""Logs one JSON object per line to stdout, unbuffered."""

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import TextIO

from telemetry.context import CURRENT
from telemetry.identity import Identity

# ASCII only, because some log readers treat U+2028 as a line break.
_ENCODE = json.JSONEncoder(default=str, separators=(",", ":")).encode
_UNCONFIGURED = Identity("unknown", "unknown", "unknown", "unknown", "unknown")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object. `extra={"fields": {...}}` adds fields."""

    def __init__(self, identity: Identity = _UNCONFIGURED) -> None:
        super().__init__()
        self._identity_fields = {
            "service": identity.service,
            "release": identity.release,
            "replica": identity.replica,
        }

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._identity_fields,
        }
        context = CURRENT.get()
        if context is not None:
            line["request_id"] = context.request_id
            line["trace_id"] = context.trace_id
        line.update(getattr(record, "fields", ()))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _ENCODE(line)


class _CountingHandler(logging.StreamHandler[TextIO]):
    def __init__(self, stream: TextIO, count: Callable[[str], None] | None) -> None:
        super().__init__(stream)
        self._count = count

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        if self._count is not None:
            self._count(record.levelname)


def json_handler(identity: Identity, count: Callable[[str], None] | None = None) -> logging.Handler:
    """Returns a handler for stdout that calls `count` with the level of every line."""
    handler = _CountingHandler(sys.stdout, count)
    handler.setFormatter(JsonFormatter(identity))
    return handler


def configure(identity: Identity, level: str, count: Callable[[str], None]) -> None:
    """Replaces the root logger's JSON handler and sets its level."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _CountingHandler):
            root.removeHandler(handler)
    root.addHandler(json_handler(identity, count))
    root.setLevel(level.upper())


def _rfc3339(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
