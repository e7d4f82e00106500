"""Asks a URL from outside over HTTP, each time on a fresh connection; never follows a redirect."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

from deploy.core.ports import Answer


class HttpProbe:
    """Probe over http.client."""

    def get(
        self, url: str, *, timeout_s: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """GETs `url`; status 0 with the reason as body when nobody answers within `timeout_s`."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        except (ValueError, http.client.HTTPException) as error:
            return no_answer(error)
        try:
            connection.request("GET", target, headers={"Connection": "close", **(headers or {})})
            return answer_of(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            return no_answer(error)
        finally:
            connection.close()


def answer_of(response: http.client.HTTPResponse) -> Answer:
    """Reads a response to its end; header names in lower case."""
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, response.read(), headers)


def no_answer(error: Exception) -> Answer:
    """Returns the answer that stands for none, with the reason as its body."""
    reason = str(error) or type(error).__name__
    return Answer(0, reason.encode())
