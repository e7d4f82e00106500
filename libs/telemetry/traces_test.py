"""Exported spans, collected in memory or received over HTTP."""

import json
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

from flask import Flask
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from telemetry.identity import Identity
from telemetry.metrics import ServiceMetrics
from telemetry.middleware import Middleware
from telemetry.testing import running
from telemetry.traces import RequestTracer

SERVER = 2  # SPAN_KIND_SERVER of OTLP
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
IDENTITY = Identity("shop", "r1", "abc", "unknown", "shop-1")


class MemoryExporter(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to close."""


def spans_of(path: str, headers: dict[str, str]) -> list[ReadableSpan]:
    app = Flask("shop")

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        with trace.get_tracer("shop").start_as_current_span("look up"):
            return f"item {number}"

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("broken")

    exporter = MemoryExporter()
    tracer = RequestTracer(IDENTITY, exporter)
    metrics = ServiceMetrics(IDENTITY, "unknown", lambda: True)
    app.wsgi_app = Middleware(app.wsgi_app, IDENTITY, metrics, tracer)  # type: ignore[method-assign]
    app.test_client().get(path, headers=headers).close()
    tracer.close()
    return exporter.spans


def trace_id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def test_a_request_is_a_span_in_its_callers_trace() -> None:
    (span,) = spans_of("/item/7", {"traceparent": f"00-{TRACE}-{SPAN}-01"})
    assert span.name == "GET /item/<int:number>"
    assert trace_id_of(span) == TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == SPAN
    attributes = dict(span.attributes or {})
    assert attributes["http.route"] == "/item/<int:number>"
    assert attributes["http.response.status_code"] == 200
    assert span.resource.attributes["service.instance.id"] == "shop-1"


def test_a_new_trace_has_the_request_id() -> None:
    (span,) = spans_of("/item/7", {"X-Request-Id": TRACE})
    assert trace_id_of(span) == TRACE
    assert span.parent is None


def test_a_request_of_an_unsampled_caller_is_not_sampled() -> None:
    assert spans_of("/item/7", {"traceparent": f"00-{TRACE}-{SPAN}-00"}) == []


def test_a_crash_sets_the_spans_status_to_error() -> None:
    (span,) = spans_of("/broken", {})
    assert span.status.status_code is trace.StatusCode.ERROR


class OtlpReceiver(HTTPServer):
    """Receives OTLP over HTTP and keeps the documents."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _OtlpHandler)
        self.received: list[dict[str, Any]] = []
        Thread(target=self.serve_forever, daemon=True).start()


class _OtlpHandler(BaseHTTPRequestHandler):
    server: OtlpReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json"
        self.server.received.append(json.loads(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        """Quiet."""


def test_the_last_spans_are_sent_before_the_worker_exits() -> None:
    receiver = OtlpReceiver()
    endpoint = f"http://127.0.0.1:{receiver.server_port}"
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "DRAIN_NOTICE_S": "0"}
    with running("telemetry.served_fixture:make_app()", environ) as server:
        server.get("/item/7")
        server.terminate()
        assert server.wait() == 0
    (document,) = receiver.received
    (resource,) = document["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "shop"}} in resource["resource"][
        "attributes"
    ]
    kinds = {span["name"]: span["kind"] for span in resource["scopeSpans"][0]["spans"]}
    assert kinds["GET /item/<int:number>"] == SERVER
    receiver.shutdown()
    receiver.server_close()
