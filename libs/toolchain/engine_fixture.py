"""An HTTP server on a Unix socket that answers as a Docker engine does; for tests alone."""

from __future__ import annotations

import http.server
import socketserver
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from toolchain.engine import Engine


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answers = {
            "/_ping": b"OK",
            "/containers/json": b'[{"Id": "a"}]',
            "/images/py-cicd/base-python:0a/json": b"{}",
        }
        body = answers.get(self.path)
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Keep the test's output clean."""

    def address_string(self) -> str:
        return "unix"


class ServedEngine:
    """The server, running while it is entered."""

    def __init__(self, path: Path) -> None:
        self.engine = Engine(f"unix://{path}")
        self._server = socketserver.UnixStreamServer(str(path), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @staticmethod
    def nobody(folder: Path) -> Engine:
        """An engine whose socket isn't there."""
        return Engine(f"unix://{folder}/no-docker.sock")
