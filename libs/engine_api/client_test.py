"""The client against a real HTTP server behind a real Unix socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from engine_api.client import EngineApiError, EngineClient
from engine_api.server_fixture import engine_socket

type Make = Callable[..., EngineClient]


class Requests(list[str]):
    """The requests that the engine received, as `METHOD path`."""


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
def engine(tmp_path: Path, requests: Requests) -> Iterator[Make]:
    """Makes an engine that answers everything with one status and body."""
    answers: list[tuple[int, bytes]] = []

    def respond(method: str, path: str) -> tuple[int, bytes]:
        requests.append(f"{method} {path}")
        return answers[-1]

    def make(body: bytes, status: int = 200) -> EngineClient:
        answers.append((status, body))
        return EngineClient(path)

    with engine_socket(tmp_path / "docker.sock", respond) as path:
        yield make


def test_get_returns_the_document(engine: Make, requests: Requests) -> None:
    assert engine(b'{"ServerVersion": "28.5"}').get("/info") == {"ServerVersion": "28.5"}
    assert requests == ["GET /info"]


def test_the_containers_of_the_deploy_tool_are_found_by_their_label(
    engine: Make, requests: Requests
) -> None:
    assert engine(b'[{"Id": "1"}]').deployed_containers() == [{"Id": "1"}]
    url = urlsplit(requests[0].removeprefix("GET "))
    query = parse_qs(url.query)
    assert (url.path, query["all"]) == ("/containers/json", ["1"])
    assert json.loads(query["filters"][0]) == {"label": ["py-cicd.name"]}


def test_containers_are_started_and_killed(engine: Make, requests: Requests) -> None:
    client = engine(b"", 204)
    client.start("0c1d")
    client.kill("0c1d")
    assert requests == ["POST /containers/0c1d/start", "POST /containers/0c1d/kill?signal=SIGKILL"]


@pytest.mark.parametrize(
    ("config", "seconds"), [({"StopTimeout": 40}, 40.0), ({"StopTimeout": None}, 10.0), ({}, 10.0)]
)
def test_the_grace_period_is_the_containers_own(
    engine: Make, config: dict[str, object], seconds: float
) -> None:
    answer = json.dumps({"Config": config}).encode()
    assert engine(answer).stop_grace_s("0c1d") == seconds


def test_starting_a_container_that_runs_is_no_error(engine: Make) -> None:
    engine(b"", 304).start("0c1d")


def test_events_are_yielded_as_actions(engine: Make, requests: Requests) -> None:
    body = b'{"Action": "die"}\n{"Action": "health_status: unhealthy"}\n'
    assert list(engine(body).container_events("die")) == ["die", "health_status: unhealthy"]
    query = parse_qs(urlsplit(requests[0].removeprefix("GET ")).query)
    assert json.loads(query["filters"][0]) == {"type": ["container"], "event": ["die"]}


def test_log_lines_are_put_together_from_frames(engine: Make, requests: Requests) -> None:
    frames = b"".join(
        b"\x01\0\0\0" + len(part).to_bytes(4) + part for part in (b"one\ntw", b"o\n", b"cut")
    )
    assert list(engine(frames).log_lines("edge", since=7)) == [b"one", b"two"]
    assert requests == ["GET /containers/edge/logs?follow=1&stdout=1&since=7.000000"]


@pytest.mark.parametrize(("body", "status"), [(b'{"message": "broken"}', 500), (b"no JSON", 200)])
def test_a_bad_answer_is_an_error_with_its_status(engine: Make, body: bytes, status: int) -> None:
    with pytest.raises(EngineApiError, match="GET /info: ") as raised:
        engine(body, status).get("/info")
    assert raised.value.status == status


def test_a_refusal_names_the_engines_reason(engine: Make) -> None:
    with pytest.raises(EngineApiError, match=r"POST /containers/0c1d/start: HTTP 404 .*no such"):
        engine(b'{"message": "no such container"}', 404).start("0c1d")
    with pytest.raises(EngineApiError, match=r"HTTP 404"):
        list(engine(b"{}", 404).log_lines("0c1d", since=0))


def test_events_that_are_no_json_are_an_error(engine: Make) -> None:
    with pytest.raises(EngineApiError, match="GET /events: "):
        list(engine(b"no JSON\n").container_events("die"))


def test_a_missing_socket_is_an_error_without_a_status(tmp_path: Path) -> None:
    client = EngineClient(str(tmp_path / "none.sock"))
    with pytest.raises(
        EngineApiError, match="the engine doesn't answer GET /containers/json"
    ) as raised:
        client.deployed_containers()
    assert raised.value.status is None
