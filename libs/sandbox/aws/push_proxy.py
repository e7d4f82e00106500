"""A TLS proxy in front of the registry that refuses the pushes that ECR would refuse.

A plain registry accepts any repository and overwrites any tag. ECR does neither, and a deploy must fail here as it
would there. This machine pushes through the proxy; hosts pull from the registry itself.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from sandbox.credentials import REGISTRY_PASSWORD, REGISTRY_USER
from sandbox.ports import ADDRESS

UPLOAD = re.compile(r"/v2/(?P<repository>.+)/blobs/uploads/.*")
MANIFEST = re.compile(r"/v2/(?P<repository>.+)/manifests/(?P<reference>[^/?]+)")
CHUNK_BYTES = 256 * 1024
TIMEOUT_S = 300
# A proxy does not forward these: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
HOP_BY_HOP = frozenset(
    {"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"}
)
_TOKEN = base64.b64encode(f"{REGISTRY_USER}:{REGISTRY_PASSWORD}".encode()).decode()

log = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """An error answer: the HTTP status, and the code and message of the registry API's error document."""

    status: int
    code: str
    message: str


class Push(NamedTuple):
    """What a client wants to store: an image under a tag, or a layer (no tag)."""

    repository: str
    tag: str | None = None


PushCheck = Callable[[Push], Refusal | None]
"""Returns why ECR would refuse a push, None if it would accept it."""


class UpstreamRegistry(NamedTuple):
    """The registry's port on this machine, and the TLS context that verifies its certificate."""

    port: int
    trust: ssl.SSLContext

    def connect(self) -> http.client.HTTPSConnection:
        """Opens a new connection."""
        return http.client.HTTPSConnection(
            ADDRESS, self.port, timeout=TIMEOUT_S, context=self.trust
        )


class PushProxy(ThreadingHTTPServer):
    """Serves TLS on a port of this machine and forwards what `check` accepts to the registry."""

    daemon_threads = True

    def __init__(
        self, port: int, tls: ssl.SSLContext, registry: UpstreamRegistry, check: PushCheck
    ) -> None:
        self._tls = tls
        self.registry = registry
        self.check = check
        super().__init__((ADDRESS, port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accepts a connection. The TLS handshake happens at the first read, in the connection's own thread."""
        connection, address = super().get_request()
        connection.settimeout(TIMEOUT_S)
        wrapped = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return wrapped, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs at debug level: clients hang up, and Docker tries plain HTTP too."""
        del request
        log.debug("a connection from %s ended early", client_address)


class _Handler(BaseHTTPRequestHandler):
    """Serves one client's connection, with a registry connection of its own."""

    protocol_version = "HTTP/1.1"
    # With Nagle's algorithm, each of the small writes would wait for the client's acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: PushProxy

    def setup(self) -> None:
        super().setup()
        self._registry = self.server.registry.connect()

    def finish(self) -> None:
        self._registry.close()
        super().finish()

    def _serve(self) -> None:
        body = self._chunks()
        refusal = None
        # The registry refuses everybody else.
        if self.headers.get("Authorization", "") == f"Basic {_TOKEN}":
            if self.command == "POST" and (upload := UPLOAD.fullmatch(self.path)):
                refusal = self.server.check(Push(upload["repository"]))
            elif self.command == "PUT" and (target := MANIFEST.fullmatch(self.path)):
                refusal = self.server.check(Push(target["repository"], target["reference"]))
        if refusal is None:
            self._forward(body)
        else:
            for _ in body:
                pass
            self._refuse(refusal)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _chunks(self) -> Iterator[bytes]:
        """Yields the request's body as it arrives."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield from self._exactly(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            yield from self._exactly(int(self.headers.get("Content-Length") or 0))

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size and (chunk := self.rfile.read(min(size, CHUNK_BYTES))):
            size -= len(chunk)
            yield chunk

    def _forward(self, body: Iterator[bytes]) -> None:
        try:
            answer = self._request(body)
        except (OSError, http.client.HTTPException) as error:
            self.close_connection = True
            self._registry.close()
            self._refuse(Refusal(502, "UNAVAILABLE", f"the registry does not answer: {error}"))
            return
        self.send_response_only(answer.status)
        length = answer.getheader("Content-Length")
        whole = None if length or self.command == "HEAD" else answer.read()
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP | {"transfer-encoding"}:
                self.send_header(name, value)
        if whole is not None:
            self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        if whole:
            self.wfile.write(whole)
        while chunk := answer.read(CHUNK_BYTES):
            self.wfile.write(chunk)

    def _request(self, body: Iterator[bytes]) -> http.client.HTTPResponse:
        """Sends the request to the registry, its body chunked if the client's was."""
        self._registry.putrequest(
            self.command, self.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self._registry.putheader(name, value)
        self._registry.endheaders()
        chunked = "Transfer-Encoding" in self.headers
        for chunk in body:
            self._registry.send(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        if chunked:
            self._registry.send(b"0\r\n\r\n")
        return self._registry.getresponse()

    def _refuse(self, refusal: Refusal) -> None:
        document = {"errors": [{"code": refusal.code, "message": refusal.message}]}
        body = json.dumps(document).encode()
        self.send_response_only(refusal.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs no requests."""
        del format, args
