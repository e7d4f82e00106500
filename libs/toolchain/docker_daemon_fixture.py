"""A fake Docker daemon for tests: an HTTP server on a Unix socket."""

from __future__ import annotations

import http.server
import socketserver
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from toolchain.docker_daemon import DockerDaemon


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        bodies = {
            "/_ping": b"OK",
            "/containers/json": b'[{"Id": "a"}]',
            "/images/py-cicd/base-python:0a/json": b"{}",
        }
        body = bodies.get(self.path)
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Prints nothing, to keep the test's output clean."""

    def address_string(self) -> str:
        return "unix"


class FakeDockerDaemon:
    """The server. It runs inside the `with` block."""

    def __init__(self, path: Path) -> None:
        self.daemon = DockerDaemon(f"unix://{path}")
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
    def absent(folder: Path) -> DockerDaemon:
        """Returns a daemon whose socket doesn't exist."""
        return DockerDaemon(f"unix://{folder}/no-docker.sock")
