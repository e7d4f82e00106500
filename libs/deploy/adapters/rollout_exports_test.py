"""What is sent of a deploy, to a real HTTP server; a receiver that is down or refuses fails nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.adapters.rollout_exports import Exports, Receivers
from deploy.core.reports.dora import FourKeys
from deploy.core.reports.trace_test import CHRONICLE
from deploy.errors import HostUnreachableError
from deploy.testing.servers.http_server import QuietHandler, http_server

KEYS = FourKeys(days=30, deploys=3, failed=1, lead_time_s=60, restore_s=None)


def keys(service: str) -> FourKeys:
    assert service == "app"
    return KEYS


type Got = list[tuple[str, str, dict[str, str], bytes]]


@pytest.fixture
def server() -> Iterator[tuple[str, Got]]:
    got: Got = []

    class Handler(QuietHandler):
        def respond(self) -> None:
            got.append((self.command, self.path, dict(self.headers), self.read_body()))
            self.reply(500 if "/refuses/" in self.path else 200)

    with http_server(Handler) as found:
        yield found.url, got


def test_everybody_gets_theirs(server: tuple[str, Got], tmp_path: Path) -> None:
    url, got = server
    told: list[str] = []
    receivers = Receivers(f"{url}/v1/traces", f"{url}/push", f"{url}/grafana", "a-token")
    Exports(receivers, tmp_path / "deploys", told.append, keys)(CHRONICLE)
    assert told == []
    assert [each[:2] for each in got] == [
        ("POST", "/v1/traces"),
        ("PUT", "/push/metrics/job/ship/service/app/environment/sandbox/verb/deploy"),
        ("PUT", "/push/metrics/job/ship-dora/service/app/environment/sandbox"),
        *[("POST", "/grafana/api/annotations")] * 3,
    ]
    assert got[3][2]["Authorization"] == "Bearer a-token"
    marks = [json.loads(each[3]) for each in got[3:]]
    assert [each["tags"] for each in marks] == [
        ["deploy", "app", "sandbox", "reverted"],
        ["phase", "app", "sandbox", "prepare"],
        ["phase", "app", "sandbox", "switch"],
    ]
    begun = marks[0]["time"]
    times = [(each["time"] - begun, each["timeEnd"] - begun) for each in marks]
    assert times == [(0, 6000), (500, 3500), (4000, 4500)]
    assert marks[2]["text"] == "deploy r000002-abc: switch"
    assert b'ship_dora_deploys_per_day{service="app",environment="sandbox"} 0.1' in got[2][3]
    kept = tmp_path / "deploys" / "sandbox-app-000002.otlp.json"
    assert kept.read_bytes() == got[0][3]


def test_who_is_down_or_refuses_is_told_and_nothing_fails(
    server: tuple[str, Got], tmp_path: Path
) -> None:
    url, got = server
    told: list[str] = []
    receivers = Receivers("http://127.0.0.1:1/x", f"{url}/refuses/push", "ftp://nowhere")
    Exports(receivers, tmp_path, told.append, keys)(CHRONICLE)
    assert len(got) == 2
    assert len(told) == 4
    assert "HTTP 500" in told[1]


def test_keys_that_cant_be_computed_are_told_and_the_rest_is_sent(
    server: tuple[str, Got], tmp_path: Path
) -> None:
    def unreachable(service: str) -> FourKeys:
        raise HostUnreachableError("host-1 is gone", hint="")

    told: list[str] = []
    Exports(Receivers("", server[0], server[0]), tmp_path, told.append, unreachable)(CHRONICLE)
    assert told == ["the four keys of app can't be computed: host-1 is gone"]
    assert [each[0] for each in server[1]] == ["PUT", "POST", "POST", "POST"]


def test_nobody_is_told_where_nobody_is_configured(tmp_path: Path) -> None:
    told: list[str] = []
    blocked = tmp_path / "file"
    blocked.write_text("")
    Exports(Receivers.of({}), blocked / "deploys", told.append, keys)(CHRONICLE)
    assert len(told) == 1


def test_opentelemetrys_own_variables_are_read() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}
    assert Receivers.of(environ).traces == "http://collector:4318/v1/traces"
    environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = "http://t/x"
    assert Receivers.of(environ, pushgateway="http://p/").traces == "http://t/x"
    assert Receivers.of(environ, pushgateway="http://p/").pushgateway == "http://p"
