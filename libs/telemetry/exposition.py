"""Serves `/metrics` on its own port and threads, so that scrapes work while the app is saturated."""

import socket
from http.server import ThreadingHTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry, MetricsHandler


def listen(address: str, port: int) -> socket.socket:
    """Returns a listening socket; port 0 picks a free one. Raises OSError if the port is in use."""
    return socket.create_server((address, port), backlog=16)


def serve(listener: socket.socket, registry: CollectorRegistry) -> None:
    """Answers scrapes on daemon threads until the process ends."""
    server = _Server(listener, type("Handler", (_Handler,), {"registry": registry}))
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


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
