"""Serves `/metrics` and `/livez` on their own port and threads, so that they answer while the app is saturated."""

import socket
from collections.abc import Callable
from functools import partial
from http.server import ThreadingHTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry, MetricsHandler

_NO_SHUTDOWN_S = 3600.0


def serve(listener: socket.socket, registry: CollectorRegistry, problem: Callable[[], str]) -> None:
    """Answers scrapes and liveness checks on daemon threads until the process ends.

    `problem` returns why the process doesn't live, "" if it does.
    """
    attributes = {"registry": registry, "problem": staticmethod(problem)}
    server = _Server(listener, type("Handler", (_Handler,), attributes))
    # The interval is how often the thread looks whether to shut down, which it never does: its process ends. The
    # default wakes an idle replica twice a second.
    serve_forever = partial(server.serve_forever, poll_interval=_NO_SHUTDOWN_S)
    Thread(target=serve_forever, name="metrics", daemon=True).start()


class _Handler(MetricsHandler):
    timeout = 10  # seconds; frees the thread of a client that sends nothing
    server_version = "telemetry"
    sys_version = ""
    problem: Callable[[], str]

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        match self.path.partition("?")[0]:
            case "/metrics":
                super().do_GET()
            case "/livez":
                self._answer_liveness()
            case _:
                self.send_error(404)

    def _answer_liveness(self) -> None:
        problem = self.problem()
        body = (problem or "alive").encode() + b"\n"
        # The status line has the reason, because it is what the health check prints.
        self.send_response(503 if problem else 200, problem or None)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    def __init__(self, listener: socket.socket, handler: type[_Handler]) -> None:
        super().__init__(listener.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
