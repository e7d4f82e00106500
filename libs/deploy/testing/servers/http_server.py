"""Runs HTTP servers in threads of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer

POLL_S = 0.02


class HttpServer(ThreadingHTTPServer):
    """A server on a free port of the loopback interface."""

    daemon_threads = True
    # With the default of 5, a test with many connections at once would see resets.
    request_queue_size = 64

    def __init__(self, handler: type[BaseHTTPRequestHandler], address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), handler)

    @property
    def url(self) -> str:
        """Its URL, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}"


class QuietHandler(BaseHTTPRequestHandler):
    """Passes requests of every method to `respond`, which subclasses implement, and logs nothing."""

    def respond(self) -> None:
        """Answers the request, see `reply`."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answers a request."""
        self.respond()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names that http.server calls

    def read_body(self) -> bytes:
        """Returns the request's body, whose length the client must have sent."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Sends a whole answer, without its body if the request is a HEAD."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name of the overridden method
        """Logs nothing."""


@contextmanager
def http_server(
    handler: type[BaseHTTPRequestHandler], address: str = "127.0.0.1"
) -> Iterator[HttpServer]:
    """Yields a server with this handler that serves until the context ends."""
    server = HttpServer(handler, address)
    with serving(server):
        yield server


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Serves in a thread until the context ends, then closes the server."""
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def unused_port() -> int:
    """Returns a port of the loopback interface on which nothing listens."""
    with HttpServer(BaseHTTPRequestHandler) as server:
        return server.server_port
