"""Tests of a port forward through a real SSH connection, with an HTTP server behind it."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.adapters.ssh.host import SshHost
from deploy.adapters.ssh.login import SshConnector
from deploy.adapters.ssh.port_forward import forwarded
from deploy.testing.servers.sshd import ssh_server


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def echo() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SshHost]:
    with ssh_server(tmp_path) as server:
        connector = SshConnector(known_hosts=str(server.known_hosts), key=str(server.key_file))
        remote = SshHost(server.config, connector)
        yield remote
        remote.close()


def test_requests_and_answers_pass_unchanged_over_one_and_many_connections(
    host: SshHost, echo: int
) -> None:
    def request(number: int) -> bool:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        for size in (0, 1, 300_000):
            body = bytes([number]) * size
            connection.request("POST", "/", body=body)
            if connection.getresponse().read() != body:
                return False
        connection.close()
        return True

    with forwarded(lambda: host.dial(echo)) as port, ThreadPoolExecutor(6) as threads:
        assert all(threads.map(request, range(12)))


def test_connection_to_a_closed_port_is_closed(host: SshHost) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as free:
        closed = free.server_port
    with (
        forwarded(lambda: host.dial(closed)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as client,
    ):
        assert client.recv(1) == b""


def test_forward_ends_with_its_context(host: SshHost, echo: int) -> None:
    with forwarded(lambda: host.dial(echo)) as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        HTTPConnection("127.0.0.1", port, timeout=5).connect()
