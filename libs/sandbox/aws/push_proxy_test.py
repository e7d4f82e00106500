"""The gate over TLS, before a registry that says what it was sent."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sandbox import ca as authority
from sandbox.aws import push_proxy
from sandbox.credentials import REGISTRY_PASSWORD

LOGIN = {"Authorization": "Basic " + base64.b64encode(f"AWS:{REGISTRY_PASSWORD}".encode()).decode()}
REFUSED = push_proxy.Refusal(400, "TAG_INVALID", "no")


class Behind(ThreadingHTTPServer):
    """Answers every request with what came; keeps who connected."""

    daemon_threads = True
    connections = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server: Behind

        def setup(self) -> None:
            super().setup()
            self.server.connections += 1

        def do_PATCH(self) -> None:
            body = b""
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said = {
                "method": self.command,
                "path": self.path,
                "host": self.headers["Host"],
                "sha256": hashlib.sha256(body).hexdigest(),
            }
            answer = json.dumps(said).encode()
            self.send_response(201)
            self.send_header("Location", "/v2/app/blobs/uploads/1")
            if self.path.startswith("/v2/chunked"):
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer))
            else:
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else answer)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Setting:
    """A certificate, a registry behind, a gate before it, and what the judge was asked."""

    def __init__(self, folder: Path) -> None:
        key = authority.make_key()
        ca = authority.make_authority(key, "a test")
        own = authority.make_key()
        (folder / "key").write_bytes(own)
        (folder / "crt").write_bytes(authority.make_certificate(ca, key, own, ("127.0.0.1",)))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(folder / "crt", folder / "key")
        self.trust = ssl.create_default_context(cadata=ca.decode())
        self.behind = Behind(("127.0.0.1", 0), Behind.Handler)
        self.behind.socket = self.tls.wrap_socket(self.behind.socket, server_side=True)
        self.asked: list[tuple[str, str, str]] = []
        self.verdict: push_proxy.Refusal | None = None

    def judge(self, repository: str, reference: str, digest: str) -> push_proxy.Refusal | None:
        self.asked.append((repository, reference, digest))
        return self.verdict


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


@pytest.fixture
def client(setting: Setting) -> Iterator[http.client.HTTPSConnection]:
    with _serving(setting.behind) as behind:
        registry = push_proxy.Registry(behind, setting.trust)
        made = push_proxy.Gate(0, setting.tls, registry, setting.judge)
        with _serving(made) as port:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", port, context=setting.trust, timeout=10
            )
            yield connection
            connection.close()


def _ask(
    client: http.client.HTTPSConnection, method: str, path: str, body: object = None, **more: str
) -> tuple[int, dict[str, Any]]:
    client.request(method, path, body, {**LOGIN, **more})  # type: ignore[arg-type]
    answer = client.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if content else {}


def test_a_body_arrives_whole_with_its_length_and_in_chunks_over_one_connection(
    setting: Setting, client: http.client.HTTPSConnection
) -> None:
    layer = bytes(range(256)) * 5000
    for body in (layer, iter([layer[:7], layer[7:400_000], layer[400_000:]])):
        status, said = _ask(client, "PATCH", "/v2/app/blobs/uploads/1?state=a", body)
        assert status == 201
        assert said["sha256"] == hashlib.sha256(layer).hexdigest()
        assert said["path"] == "/v2/app/blobs/uploads/1?state=a"
        assert said["host"] == f"127.0.0.1:{client.port}"
    assert setting.behind.connections == 1
    assert setting.asked == []


def test_answers_of_unknown_length_and_without_a_body_keep_the_connection_in_step(
    client: http.client.HTTPSConnection,
) -> None:
    assert _ask(client, "GET", "/v2/chunked")[1]["path"] == "/v2/chunked"
    assert _ask(client, "HEAD", "/v2/app/blobs/x") == (201, {})
    assert _ask(client, "GET", "/v2/")[1]["path"] == "/v2/"


def test_a_manifest_is_judged_by_its_digest_and_a_layer_by_its_repository(
    setting: Setting, client: http.client.HTTPSConnection
) -> None:
    manifest = b'{"schemaVersion": 2}'
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    assert _ask(client, "PUT", "/v2/shop/app/manifests/one", manifest)[0] == 201
    assert _ask(client, "POST", "/v2/shop/app/blobs/uploads/?mount=x", b"")[0] == 201
    assert setting.asked == [("shop/app", "one", digest), ("shop/app", "", "")]


def test_what_is_refused_never_reaches_the_registry_and_the_connection_goes_on(
    setting: Setting, client: http.client.HTTPSConnection
) -> None:
    setting.verdict = REFUSED
    for method, path in (("PUT", "/v2/a/manifests/one"), ("POST", "/v2/a/blobs/uploads/")):
        status, said = _ask(client, method, path, b"{}")
        assert (status, said["errors"]) == (400, [{"code": "TAG_INVALID", "message": "no"}])
    assert setting.behind.connections == 0
    assert _ask(client, "GET", "/v2/a/manifests/one")[0] == 201


def test_whoever_has_not_logged_in_learns_nothing_but_what_the_registry_says(
    setting: Setting, client: http.client.HTTPSConnection
) -> None:
    setting.verdict = REFUSED
    assert _ask(client, "PUT", "/v2/a/manifests/one", b"{}", Authorization="Basic x")[0] == 201
    assert setting.asked == []


def test_a_registry_that_is_away_is_a_502(setting: Setting) -> None:
    # The reserved port 1: nothing listens there.
    made = push_proxy.Gate(0, setting.tls, push_proxy.Registry(1, setting.trust), setting.judge)
    setting.behind.server_close()
    with _serving(made) as port:
        client = http.client.HTTPSConnection("127.0.0.1", port, context=setting.trust, timeout=10)
        status, said = _ask(client, "GET", "/v2/")
        client.close()
    assert (status, said["errors"][0]["code"]) == (502, "UNAVAILABLE")
