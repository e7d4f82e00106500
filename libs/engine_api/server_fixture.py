"""An HTTP server on a Unix socket that answers like a Docker engine, for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

type Respond = Callable[[str, str], tuple[int, bytes]]
"""Returns the status and the body for a method and a path with its query."""


@contextmanager
def engine_socket(path: Path, respond: Respond) -> Iterator[str]:
    """Serves on a socket at `path`, and yields that path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = respond(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def address_string(self) -> str:
            return "a Unix socket"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Logs nothing."""

    class Server(ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield str(path)
        finally:
            server.shutdown()
