"""A registry of images over real HTTP that knows manifests only, and asks for a password."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class RegistryServer:
    """Digests by `repository:tag`, manifests by digest where they differ.

    `password` is the one that it takes, `broken` is what it answers instead.
    """

    def __init__(self, password: str) -> None:
        self.password = password
        self.digests: dict[str, str] = {}
        self.manifest = b'{"layers": [{"size": 1000}, {"size": 200}], "config": {"size": 30}}'
        self.manifests: dict[str, bytes] = {}
        self.broken: int | None = None
        self.address = ""

    @contextmanager
    def serving(self) -> Iterator[RegistryServer]:
        """Serves on a free port of the loopback until the context ends."""
        with ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) as server:
            self.address = f"127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def answer(self, path: str, authorization: str) -> tuple[int, str]:
        """Returns the status and the digest for a manifest's path."""
        if self.broken is not None:
            return self.broken, ""
        if authorization != f"Basic {base64.b64encode(f'AWS:{self.password}'.encode()).decode()}":
            return 401, ""
        repository, _, wanted = path.removeprefix("/v2/").partition("/manifests/")
        if wanted.startswith("sha256:"):
            known = {
                digest for name, digest in self.digests.items() if name.startswith(f"{repository}:")
            }
            return (200, wanted) if wanted in known else (404, "")
        digest = self.digests.get(f"{repository}:{wanted}")
        return (200, digest) if digest else (404, "")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_HEAD()
                digest = self.path.rpartition("/")[2]
                self.wfile.write(registry.manifests.get(digest, registry.manifest))

            def do_HEAD(self) -> None:
                status, digest = registry.answer(self.path, self.headers.get("Authorization", ""))
                self.send_response(status)
                if digest:
                    self.send_header("Docker-Content-Digest", digest)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                del format, args

        return Handler
