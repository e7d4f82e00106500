"""WSGI middleware that measures and logs each request, and adds the identity headers to its response."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextvars import Token
from time import perf_counter
from typing import TYPE_CHECKING, Any

from telemetry.context import CURRENT, RequestContext, read_context
from telemetry.identity import Identity
from telemetry.liveness import Progress
from telemetry.metrics import UNMATCHED, ServiceMetrics
from telemetry.probes import PROBE_ROUTES

if TYPE_CHECKING:
    from telemetry.traces import RequestSpan, RequestTracer

Headers = list[tuple[str, str]]
StartResponse = Callable[..., Callable[[bytes], object]]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_log = logging.getLogger("telemetry.request")


class Exchange:
    """One request and its response, from the first byte read to the last one written."""

    __slots__ = (
        "_environ",
        "_finished",
        "_middleware",
        "_span",
        "_start_response",
        "_started",
        "_token",
        "context",
        "route",
        "status",
    )

    def __init__(
        self, middleware: "Middleware", environ: dict[str, Any], start_response: StartResponse
    ) -> None:
        self._started = perf_counter()
        self._middleware = middleware
        middleware.progress.mark()
        self._environ = environ
        self._start_response = start_response
        self._finished = False
        self.route = UNMATCHED
        self.status = "500"  # what the server sends if the app raises
        self.context: RequestContext = read_context(environ)
        self._token: Token[RequestContext | None] = CURRENT.set(self.context)
        self._span: RequestSpan | None = None
        if middleware.tracer is not None:
            self._span = middleware.tracer.begin(environ, self.context)
        middleware.metrics.in_flight.inc()

    def start_response(self, status: str, headers: Headers, exc_info: Any = None) -> Any:
        self.status = status
        self.route = route_of(self._environ)
        headers.append(("X-Request-Id", self.context.request_id))
        headers.extend(self._middleware.identity_headers)
        return self._start_response(status, headers, exc_info)

    def finish(self, error: BaseException | None = None) -> None:
        if self._finished:
            return
        self._finished = True
        seconds = perf_counter() - self._started
        middleware = self._middleware
        middleware.progress.mark()
        route = self.route
        method = self._environ["REQUEST_METHOD"]
        middleware.metrics.in_flight.dec()
        middleware.metrics.recorder(route, method).record(
            self.status, seconds, self.context.trace_id
        )
        self._log_line(method, route, seconds, error)
        if self._span is not None:
            self._span.end(method, route, int(self.status[:3]), error)
        CURRENT.reset(self._token)

    def _log_line(
        self, method: str, route: str, seconds: float, error: BaseException | None
    ) -> None:
        level = _level(self.status, route)
        if not _log.isEnabledFor(level):
            return
        environ = self._environ
        fields = {
            "method": method,
            "path": environ.get("PATH_INFO", ""),
            "route": route,
            "status": int(self.status[:3]),
            "duration_ms": round(seconds * 1000, 3),
            "client": client_of(environ),
            "user_agent": environ.get("HTTP_USER_AGENT", ""),
        }
        # Built directly: Logger.log also looks up the caller's line, which takes as long as all the rest.
        exc_info = (type(error), error, error.__traceback__) if error else None
        record = logging.LogRecord(_log.name, level, "", 0, "request", (), exc_info)
        record.fields = fields
        _log.handle(record)


class _Body:
    """Passes the body through. The request is finished when the server closes it."""

    __slots__ = ("_body", "_exchange", "_mark", "_next")

    def __init__(self, body: Iterable[bytes], exchange: Exchange, mark: Callable[[], None]) -> None:
        self._body = body
        self._next = iter(body).__next__
        self._exchange = exchange
        self._mark = mark

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._mark()  # the server asks for the next chunk once it has sent the one before
        return self._next()

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._exchange.finish()


class Middleware:
    def __init__(
        self,
        app: WsgiApp,
        identity: Identity,
        metrics: ServiceMetrics,
        tracer: "RequestTracer | None",
        progress: Progress,
    ) -> None:
        self._app = app
        self.metrics = metrics
        self.tracer = tracer
        self.progress = progress
        self.identity_headers: Headers = [
            ("X-Release", identity.release),
            ("X-Replica", identity.replica),
        ]

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        exchange = Exchange(self, environ, start_response)
        try:
            body = self._app(environ, exchange.start_response)
            return _Body(body, exchange, self.progress.mark)
        except BaseException as error:
            exchange.finish(error)
            raise


def route_of(environ: dict[str, Any]) -> str:
    """Returns the template of the matched rule, since paths would be an unbounded set of labels.

    Call it before the request is over: Flask then removes the request from the environ.
    """
    request = environ.get("werkzeug.request")
    rule = getattr(request, "url_rule", None)
    return rule.rule if rule is not None else UNMATCHED


def client_of(environ: dict[str, Any]) -> str:
    """Returns the address that the edge saw, which a client can't forge; without an edge, the peer's."""
    forwarded: str = environ.get("HTTP_X_FORWARDED_FOR", "")
    return forwarded.rpartition(",")[2].strip() or environ.get("REMOTE_ADDR", "")


def _level(status: str, route: str) -> int:
    if route in PROBE_ROUTES:
        return logging.DEBUG  # probes arrive every few seconds on each replica
    return logging.ERROR if status[0] == "5" else logging.INFO
