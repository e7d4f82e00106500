"""Tests of a port forward through a real SSH connection, with an HTTP server behind it."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from deploy.adapters.ssh.host import SshHost
from deploy.adapters.ssh.login import SshConnector
from deploy.adapters.ssh.port_forward import forwarded
from deploy.testing.servers.http_server import QuietHandler, http_server, unused_port
from deploy.testing.servers.sshd import ssh_server


class _Echo(QuietHandler):
    protocol_version = "HTTP/1.1"

    def respond(self) -> None:
        self.reply(200, self.read_body())


@pytest.fixture
def echo() -> Iterator[int]:
    with http_server(_Echo) as server:
        yield server.server_port


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
    closed = unused_port()
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
