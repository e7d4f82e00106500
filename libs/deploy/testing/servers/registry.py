"""An image registry over HTTP that serves manifests to clients with the right password."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.testing.servers.http_server import QuietHandler, http_server


class RegistryServer:
    """`digests` are by `repository:tag`; `manifests` are by digest, `manifest` is that of all others.

    `password` is the one it accepts. While `broken` is set, it answers with that HTTP status.
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
        """Serves on a free port of the loopback interface until the context ends."""
        with http_server(self._handler()) as server:
            self.address = f"127.0.0.1:{server.server_port}"
            yield self

    def answer(self, path: str, authorization: str) -> tuple[int, str | None]:
        """Returns the status and the digest for a manifest's path."""
        if self.broken is not None:
            return self.broken, None
        if authorization != f"Basic {base64.b64encode(f'AWS:{self.password}'.encode()).decode()}":
            return 401, None
        repository, _, reference = path.removeprefix("/v2/").partition("/manifests/")
        if reference.startswith("sha256:"):
            known = {
                digest for name, digest in self.digests.items() if name.startswith(f"{repository}:")
            }
            return (200, reference) if reference in known else (404, None)
        digest = self.digests.get(f"{repository}:{reference}")
        return (200, digest) if digest else (404, None)

    def _handler(self) -> type[QuietHandler]:
        registry = self

        class Handler(QuietHandler):
            def respond(self) -> None:
                status, digest = registry.answer(self.path, self.headers.get("Authorization", ""))
                body = registry.manifests.get(self.path.rpartition("/")[2], registry.manifest)
                self.reply(status, body, {"Docker-Content-Digest": digest} if digest else None)

        return Handler
