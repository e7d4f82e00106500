"""Serves `/metrics` on its own port and threads, so that scrapes work while the app is saturated."""

import socket
from functools import partial
from http.server import ThreadingHTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry, MetricsHandler

_NO_SHUTDOWN_S = 3600.0


def serve(listener: socket.socket, registry: CollectorRegistry) -> None:
    """Answers scrapes on daemon threads until the process ends."""
    server = _Server(listener, type("Handler", (_Handler,), {"registry": registry}))
    # The interval is how often the thread looks whether to shut down, which it never does: its process ends. The
    # default wakes an idle replica twice a second.
    serve_forever = partial(server.serve_forever, poll_interval=_NO_SHUTDOWN_S)
    Thread(target=serve_forever, name="metrics", daemon=True).start()


class _Handler(MetricsHandler):
    timeout = 10  # seconds; frees the thread of a client that sends nothing
    server_version = "telemetry"
    sys_version = ""

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        if self.path.partition("?")[0] == "/metrics":
            super().do_GET()
        else:
            self.send_error(404)


class _Server(ThreadingHTTPServer):
    def __init__(self, listener: socket.socket, handler: type[_Handler]) -> None:
        super().__init__(listener.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
