"""Reads or creates the ids that connect a request's log lines, metrics and trace. Malformed ids are replaced."""

import random
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

# Request ids that are safe to copy from a client into logs and headers.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
# https://www.w3.org/TR/trace-context/#traceparent-header; a later version may append fields.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(slots=True)
class RequestContext:
    """Ids of one request. Not frozen because that is slower to create, but nothing modifies it."""

    request_id: str
    trace_id: str
    parent_span_id: str | None = None
    sampled: bool = True


CURRENT: ContextVar[RequestContext | None] = ContextVar("request", default=None)


def parse_traceparent(header: str) -> tuple[str, str, bool] | None:
    """Returns (trace id, parent span id, sampled), or None for a header that the standard says to ignore."""
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
    """Returns the ids in a WSGI environ; generates those that are missing or malformed."""
    request_id = environ.get("HTTP_X_REQUEST_ID", "")
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = ""
    traceparent = environ.get("HTTP_TRACEPARENT")
    parent = parse_traceparent(traceparent) if traceparent else None
    if parent is not None:
        trace_id, span_id, sampled = parent
        return RequestContext(request_id or trace_id, trace_id, span_id, sampled)
    trace_id = _root_trace_id(environ.get("HTTP_X_TRACE_ID", ""), request_id)
    return RequestContext(request_id or trace_id, trace_id)


def _root_trace_id(edge_trace_id: str, request_id: str) -> str:
    """Returns the id of a trace that starts here.

    The edge's id comes first, because the edge has logged it. Without an edge, a request id that is
    a valid trace id is used for both, so that one id finds the log lines, the metric and the trace.
    """
    for candidate in (edge_trace_id, request_id):
        if _is_trace_id(candidate):
            return candidate
    return _new_trace_id()


def _is_trace_id(text: str) -> bool:
    return bool(_TRACE_ID.fullmatch(text)) and bool(text.strip("0"))


def _new_trace_id() -> str:
    return f"{random.getrandbits(128) or 1:032x}"
