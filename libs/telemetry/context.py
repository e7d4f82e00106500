"""The ids that tie a request's log lines, metrics and trace together; no form is ever trusted."""

import random
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

# What may come from outside and go into logs and headers as it is.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
# https://www.w3.org/TR/trace-context/#traceparent-header; a later version may append fields.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(slots=True)
class RequestContext:
    """Not frozen, for speed: one is made on each request. Nobody writes to it."""

    request_id: str
    trace_id: str
    parent_span_id: str | None = None
    sampled: bool = True


CURRENT: ContextVar[RequestContext | None] = ContextVar("request", default=None)


def parse_traceparent(header: str) -> tuple[str, str, bool] | None:
    """(trace id, parent span id, sampled), or None for what the standard says to ignore."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not trace_id.strip("0"):
        return None
    if not span_id.strip("0"):
        return None
    return trace_id, span_id, bool(int(flags, 16) & 1)


def read_context(environ: Mapping[str, Any]) -> RequestContext:
    """Takes the ids of a WSGI environ, and makes those that are missing or malformed."""
    request_id = environ.get("HTTP_X_REQUEST_ID", "")
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = ""
    traceparent = environ.get("HTTP_TRACEPARENT")
    parent = parse_traceparent(traceparent) if traceparent else None
    if parent is not None:
        trace_id, span_id, sampled = parent
        return RequestContext(request_id or trace_id, trace_id, span_id, sampled)
    trace_id = _begun_trace_id(environ.get("HTTP_X_TRACE_ID", ""), request_id)
    return RequestContext(request_id or trace_id, trace_id)


def _begun_trace_id(of_edge: str, request_id: str) -> str:
    """The id of a trace that begins here. The edge has logged the one it sends; where there is no edge,
    a request id in the form of a trace id makes one id find all three."""
    for told in (of_edge, request_id):
        if _is_trace_id(told):
            return told
    return _new_trace_id()


def _is_trace_id(text: str) -> bool:
    return bool(_TRACE_ID.fullmatch(text)) and bool(text.strip("0"))


def _new_trace_id() -> str:
    return f"{random.getrandbits(128) or 1:032x}"
