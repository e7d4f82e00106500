"""HttpProbe against a real HTTP server."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from deploy.adapters.probe import HttpProbe
from deploy.core.ports import Probe
from deploy.testing.servers.http_server import QuietHandler, http_server


class _Edge(QuietHandler):
    protocol_version = "HTTP/1.1"
    opened = 0

    def setup(self) -> None:
        super().setup()
        type(self).opened += 1

    def respond(self) -> None:
        status = {"/busy": 503, "/moved": 302}.get(self.path, 200)
        body = f"{self.path}|{self.headers.get('Host')}|{self.headers.get('X-Asked')}".encode()
        self.reply(status, body, {"X-Release": "r000001-abc", "Location": "/elsewhere"})


@pytest.fixture
def url() -> Iterator[str]:
    _Edge.opened = 0
    with http_server(_Edge) as server:
        yield server.url


def test_answers_with_status_body_and_headers(url: str) -> None:
    probe: Probe = HttpProbe()
    answer = probe.get(f"{url}/version?a=b%20c")
    assert answer.status == 200
    assert answer.body.startswith(b"/version?a=b%20c|127.0.0.1:")
    assert answer.headers["x-release"] == "r000001-abc"


def test_passes_headers_on(url: str) -> None:
    answer = HttpProbe().get(url, headers={"Host": "app.test", "X-Asked": "1"})
    assert answer.body == b"/|app.test|1"


def test_every_probe_is_a_connection_of_its_own(url: str) -> None:
    for _ in range(3):
        HttpProbe().get(url)
    assert _Edge.opened == 3


@pytest.mark.parametrize(("path", "status"), [("/busy", 503), ("/moved", 302)])
def test_errors_and_redirects_are_answers(url: str, path: str, status: int) -> None:
    assert HttpProbe().get(url + path).status == status


def test_nobody_there_is_status_0_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answer = HttpProbe().get(f"http://127.0.0.1:{port}/")
    assert answer.status == 0
    assert b"refused" in answer.body


def test_silence_is_status_0_after_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        answer = HttpProbe().get(url, timeout_s=0.1)
    assert (answer.status, answer.body) == (0, b"timed out")


@pytest.mark.parametrize("url", ["http://127.0.0.1:nine/", "http://no.such.host.invalid/", ""])
def test_what_is_no_address_is_status_0(url: str) -> None:
    assert HttpProbe().get(url, timeout_s=1).status == 0
