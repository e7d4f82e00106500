"""The push proxy over TLS, in front of a registry that echoes what it received."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.testing.servers.http_server import QuietHandler, serving
from sandbox import ca
from sandbox.aws.push_proxy import Push, PushProxy, Refusal, UpstreamRegistry
from sandbox.credentials import REGISTRY_PASSWORD

LOGIN = {"Authorization": "Basic " + base64.b64encode(f"AWS:{REGISTRY_PASSWORD}".encode()).decode()}
REFUSAL = Refusal(400, "TAG_INVALID", "no")


class EchoRegistry(ThreadingHTTPServer):
    """Answers every request with what it received, and counts connections."""

    daemon_threads = True
    connections = 0

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"
        server: EchoRegistry

        def setup(self) -> None:
            super().setup()
            self.server.connections += 1

        def respond(self) -> None:
            body = b""
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.read_body()
            received = {
                "method": self.command,
                "path": self.path,
                "host": self.headers["Host"],
                "sha256": hashlib.sha256(body).hexdigest(),
            }
            answer = json.dumps(received).encode()
            location = {"Location": "/v2/app/blobs/uploads/1"}
            if not self.path.startswith("/v2/chunked"):
                self.reply(201, answer, location)
                return
            self.send_response(201)
            self.send_header("Location", location["Location"])
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer))


class Setup:
    """A certificate, an upstream registry, and a check that records what it was called with."""

    def __init__(self, folder: Path) -> None:
        ca_key, server_key = ca.make_key(), ca.make_key()
        ca_certificate = ca.make_ca(ca_key, "a test")
        certificate = ca.make_certificate(ca_certificate, ca_key, server_key, ("127.0.0.1",))
        (folder / "key").write_bytes(server_key)
        (folder / "crt").write_bytes(certificate)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(folder / "crt", folder / "key")
        self.trust = ssl.create_default_context(cadata=ca_certificate.decode())
        self.registry = EchoRegistry(("127.0.0.1", 0), EchoRegistry.Handler)
        self.registry.socket = self.tls.wrap_socket(self.registry.socket, server_side=True)
        self.checked: list[Push] = []
        self.refusal: Refusal | None = None

    def check(self, push: Push) -> Refusal | None:
        self.checked.append(push)
        return self.refusal


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


@contextmanager
def connected(setup: Setup, registry_port: int) -> Iterator[http.client.HTTPSConnection]:
    """Yields a connection to a proxy in front of the registry on that port."""
    proxy = PushProxy(0, setup.tls, UpstreamRegistry(registry_port, setup.trust), setup.check)
    with serving(proxy):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", proxy.server_port, context=setup.trust, timeout=10
        )
        with closing(connection):
            yield connection


@pytest.fixture
def client(setup: Setup) -> Iterator[http.client.HTTPSConnection]:
    with serving(setup.registry), connected(setup, setup.registry.server_port) as connection:
        yield connection


def request(
    client: http.client.HTTPSConnection,
    method: str,
    path: str,
    body: object = None,
    **headers: str,
) -> tuple[int, dict[str, Any]]:
    client.request(method, path, body, {**LOGIN, **headers})  # type: ignore[arg-type]
    answer = client.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if content else {}


def test_a_body_arrives_complete_with_a_length_or_in_chunks_over_one_connection(
    setup: Setup, client: http.client.HTTPSConnection
) -> None:
    layer = bytes(range(256)) * 5000
    for body in (layer, iter([layer[:7], layer[7:400_000], layer[400_000:]])):
        status, received = request(client, "PATCH", "/v2/app/blobs/uploads/1?state=a", body)
        assert status == 201
        assert received["sha256"] == hashlib.sha256(layer).hexdigest()
        assert received["path"] == "/v2/app/blobs/uploads/1?state=a"
        assert received["host"] == f"127.0.0.1:{client.port}"
    assert setup.registry.connections == 1
    assert setup.checked == []


def test_the_connection_survives_answers_of_unknown_length_and_without_a_body(
    client: http.client.HTTPSConnection,
) -> None:
    assert request(client, "GET", "/v2/chunked")[1]["path"] == "/v2/chunked"
    assert request(client, "HEAD", "/v2/app/blobs/x") == (201, {})
    assert request(client, "GET", "/v2/")[1]["path"] == "/v2/"


def test_manifests_are_checked_with_their_tag_and_layers_with_their_repository(
    setup: Setup, client: http.client.HTTPSConnection
) -> None:
    manifest = b'{"schemaVersion": 2}'
    assert request(client, "PUT", "/v2/shop/app/manifests/one", manifest)[0] == 201
    assert request(client, "POST", "/v2/shop/app/blobs/uploads/?mount=x", b"")[0] == 201
    assert setup.checked == [Push("shop/app", "one"), Push("shop/app")]


def test_a_refused_push_does_not_reach_the_registry_and_keeps_the_connection(
    setup: Setup, client: http.client.HTTPSConnection
) -> None:
    setup.refusal = REFUSAL
    for method, path in (("PUT", "/v2/a/manifests/one"), ("POST", "/v2/a/blobs/uploads/")):
        status, answer = request(client, method, path, b"{}")
        assert (status, answer["errors"]) == (400, [{"code": "TAG_INVALID", "message": "no"}])
    assert setup.registry.connections == 0
    assert request(client, "GET", "/v2/a/manifests/one")[0] == 201


def test_a_client_without_login_gets_the_registry_s_answer_unchecked(
    setup: Setup, client: http.client.HTTPSConnection
) -> None:
    setup.refusal = REFUSAL
    status, _ = request(client, "PUT", "/v2/a/manifests/one", b"{}", Authorization="Basic x")
    assert status == 201
    assert setup.checked == []


def test_a_registry_that_is_down_is_a_502(setup: Setup) -> None:
    setup.registry.server_close()
    # Nothing listens on the reserved port 1.
    with connected(setup, registry_port=1) as client:
        status, answer = request(client, "GET", "/v2/")
    assert (status, answer["errors"][0]["code"]) == (502, "UNAVAILABLE")
