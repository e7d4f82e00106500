"""ECR's data plane as this machine pushes to it: the registry behind, ECR's refusals in front; keeps nothing.

A plain registry takes any repository and overwrites any tag. ECR doesn't, and who deploys must learn that here.
"""

from __future__ import annotations

import base64
import hashlib
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
PIECE = 256 * 1024
TIMEOUT_S = 300
# Between two neighbours only: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
HOP_BY_HOP = frozenset(
    {"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"}
)
_TOKEN = base64.b64encode(f"{REGISTRY_USER}:{REGISTRY_PASSWORD}".encode()).decode()

log = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """What ECR answers: HTTP status, the code and message of the registry's API."""

    status: int
    code: str
    message: str


# Asked with (repository, tag or "", digest or "") before anything is stored; None lets it through.
Judge = Callable[[str, str, str], Refusal | None]


class Gate(ThreadingHTTPServer):
    """Serves TLS on a port of this machine and hands what isn't refused to the registry on another."""

    daemon_threads = True

    def __init__(self, port: int, tls: ssl.SSLContext, registry: Registry, judge: Judge) -> None:
        self._tls = tls
        self.registry = registry
        self.judge = judge
        super().__init__((ADDRESS, port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accepts; the handshake comes with the first read, in the connection's own thread."""
        connection, address = super().get_request()
        connection.settimeout(TIMEOUT_S)
        wrapped = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return wrapped, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Takes it lightly: clients hang up, and the engine tries plain HTTP too."""
        del request
        log.debug("a connection from %s ended early", client_address)


class Registry(NamedTuple):
    """Where the registry is and how its certificate is checked."""

    port: int
    trust: ssl.SSLContext

    def connect(self) -> http.client.HTTPSConnection:
        """Opens a connection of the caller's own."""
        return http.client.HTTPSConnection(
            ADDRESS, self.port, timeout=TIMEOUT_S, context=self.trust
        )


class _Handler(BaseHTTPRequestHandler):
    """One client's connection, with one of its own to the registry."""

    protocol_version = "HTTP/1.1"
    # Small answers in many writes would each wait for the client's acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Gate

    def setup(self) -> None:
        super().setup()
        self._registry = self.server.registry.connect()

    def finish(self) -> None:
        self._registry.close()
        super().finish()

    def _serve(self) -> None:
        body = self._pieces()
        refusal = None
        if self.headers.get("Authorization", "") == f"Basic {_TOKEN}":
            if self.command == "POST" and (found := UPLOAD.fullmatch(self.path)):
                refusal = self.server.judge(found["repository"], "", "")
            elif self.command == "PUT" and (found := MANIFEST.fullmatch(self.path)):
                manifest = b"".join(body)
                body = iter((manifest,))
                digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
                refusal = self.server.judge(found["repository"], found["reference"], digest)
        if refusal is None:
            self._forward(body)
        else:
            for _ in body:
                pass
            self._refuse(refusal)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _pieces(self) -> Iterator[bytes]:
        """Yields the request's body as it comes."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield from self._exactly(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            yield from self._exactly(int(self.headers.get("Content-Length") or 0))

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size and (piece := self.rfile.read(min(size, PIECE))):
            size -= len(piece)
            yield piece

    def _forward(self, body: Iterator[bytes]) -> None:
        try:
            answer = self._ask(body)
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
        while piece := answer.read(PIECE):
            self.wfile.write(piece)

    def _ask(self, body: Iterator[bytes]) -> http.client.HTTPResponse:
        """Sends the request on; a body comes with its length or in chunks, as it came."""
        self._registry.putrequest(
            self.command, self.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self._registry.putheader(name, value)
        self._registry.endheaders()
        chunked = "Transfer-Encoding" in self.headers
        for piece in body:
            self._registry.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
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
        """Says nothing about requests."""
        del format, args
