"""Requests URLs from outside over HTTP, each over a fresh connection, without following redirects."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

from deploy.adapters import limits
from deploy.core.ports import Answer


class HttpProbe:
    """A Probe over http.client."""

    def get(
        self, url: str, *, timeout_s: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """GETs `url`. Returns status 0 with the reason as body if there is no answer within `timeout_s`."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        except (ValueError, http.client.HTTPException) as error:
            return no_answer(error)
        try:
            return limits.get(connection, target, headers or {}, timeout_s)
        except (OSError, http.client.HTTPException) as error:
            return no_answer(error)


def no_answer(error: Exception) -> Answer:
    """Returns an answer of status 0 with the reason as body."""
    reason = str(error) or type(error).__name__
    return Answer(0, reason.encode())
