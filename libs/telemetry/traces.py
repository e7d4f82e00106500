"""Exports a span per request by OTLP over HTTP in JSON. Imported only if an endpoint is set.

JSON rather than protobuf, which would add 2 MB to the image of every service.
"""

from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from telemetry.context import CURRENT, RequestContext
from telemetry.identity import Identity


class _RequestIds(IdGenerator):
    """Gives a new trace the trace id that the request's log lines have."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()

    def generate_span_id(self) -> int:
        return self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        context = CURRENT.get()
        return int(context.trace_id, 16) if context else self._random.generate_trace_id()


class RequestSpan:
    """An open span. Call `end` once, on the thread that started it."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token = otel_context.attach(trace.set_span_in_context(span))

    def end(self, method: str, route: str, status: int, error: BaseException | None) -> None:
        self._span.update_name(f"{method} {route}")
        self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)
        if error is not None:
            self._span.record_exception(error)
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
        otel_context.detach(self._token)


class RequestTracer:
    """Starts request spans. Endpoint, headers, sampler and batching come from OpenTelemetry's variables."""

    def __init__(self, identity: Identity, exporter: SpanExporter | None = None) -> None:
        resource = Resource.create(
            {
                "service.name": identity.service,
                "service.version": identity.release,
                "service.instance.id": identity.replica,
                "vcs.ref.head.revision": identity.revision,
            }
        )
        # The worker's exit hook calls `close`; a shutdown at interpreter exit would be too late.
        self._provider = TracerProvider(
            resource=resource, id_generator=_RequestIds(), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("telemetry")

    def begin(self, environ: dict[str, Any], context: RequestContext) -> RequestSpan:
        method = environ["REQUEST_METHOD"]
        span = self._tracer.start_span(
            method,
            context=_parent(context),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method,
                "url.path": environ.get("PATH_INFO", ""),
                "request.id": context.request_id,
            },
        )
        return RequestSpan(span)

    def close(self) -> None:
        """Sends the remaining spans. Waits at most for the exporter's timeout."""
        self._provider.shutdown()


def _parent(context: RequestContext) -> otel_context.Context:
    if context.parent_span_id is None:
        return otel_context.Context()
    remote = SpanContext(
        trace_id=int(context.trace_id, 16),
        span_id=int(context.parent_span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT),
    )
    return trace.set_span_in_context(NonRecordingSpan(remote), otel_context.Context())
