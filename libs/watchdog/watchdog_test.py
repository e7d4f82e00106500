"""The watchdog against an engine that is a real HTTP server behind a real Unix socket."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from watchdog.__main__ import PAUSE_FILES, Watchdog, run, wake_on_events
from watchdog.engine import Container, Engine, EngineError

LISTED = {
    "Id": "0c1d",
    "Names": ["/app-r000001-1"],
    "Labels": {
        "py-cicd.name": "app-r000001-1",
        "py-cicd.service": "app",
        "py-cicd.release": "r000001-aaaaaaa",
    },
    "State": "exited",
    "Status": "Exited (137) 2 seconds ago",
    "Created": 17,
    "NetworkSettings": {
        "Networks": {"py-cicd": {"IPAMConfig": {"IPv4Address": "10.213.0.65"}, "IPAddress": ""}}
    },
}


class Handler(BaseHTTPRequestHandler):
    """An engine with one container."""

    requested: ClassVar[list[str]] = []
    refusal: ClassVar[int] = 0

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/events":
            assert json.loads(query["filters"][0])["type"] == ["container"]
            self._answer(200, b'{"Action": "die"}\n{"Action": "health_status: unhealthy"}\n')
            return
        assert (path, query["all"]) == ("/containers/json", ["1"])
        self._answer(200, json.dumps([LISTED]).encode())

    def do_POST(self) -> None:
        self.requested.append(self.path)
        if self.refusal:
            self._answer(self.refusal, b'{"message": "no such container"}')
        else:
            self._answer(204, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, *words: Any) -> None:
        del words


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    path = str(tmp_path / "docker.sock")
    Handler.requested.clear()
    Handler.refusal = 0
    with Server(path, Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield Engine(path)
        server.shutdown()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    conf = tmp_path / "edge" / "conf"
    conf.mkdir(parents=True)
    upstream = {"release": "r000001-aaaaaaa", "servers": ["10.213.0.65:8080"]}
    edge = {"routes": [{"service": "app", "live": "r000001-aaaaaaa", "upstreams": [upstream]}]}
    (conf / "routes.conf").write_text(f"# py-cicd edge: {json.dumps(edge)}\n")
    return tmp_path


def test_the_list_of_containers_is_parsed(engine: Engine) -> None:
    labels = {str(name): str(value) for name, value in dict(LISTED["Labels"]).items()}  # type: ignore[call-overload]
    assert engine.containers() == [
        Container("0c1d", "app-r000001-1", labels, "exited", False, 17, address="10.213.0.65")
    ]
    for status, expected in (
        ("Up (unhealthy)", (True, False)),
        ("Up (health: starting)", (False, True)),
    ):
        found = Container.of({**LISTED, "Status": status})
        assert (found.unhealthy, found.starting) == expected


def test_an_event_wakes_the_watchdog(engine: Engine) -> None:
    assert list(engine.events()) == ["die", "health_status: unhealthy"]
    wake = threading.Event()
    threading.Thread(target=wake_on_events, args=(engine, wake), daemon=True).start()
    assert wake.wait(5)


def test_a_live_replica_is_started_and_the_start_is_recorded(engine: Engine, root: Path) -> None:
    watchdog = Watchdog(engine, root)
    assert watchdog.check(0) == []
    assert [action.verb for action in watchdog.check(2)] == ["start"]
    assert Handler.requested == ["/containers/0c1d/start?"]
    entry = json.loads((root / "ledger.jsonl").read_text())
    assert (entry["who"], entry["event"], entry["service"]) == ("watchdog", "effect", "app")
    assert (entry["what"], entry["code"]) == ("start app-r000001-1: it had ended", 0)


def test_an_action_that_fails_is_recorded_and_repeated_later(engine: Engine, root: Path) -> None:
    Handler.refusal = 404
    watchdog = Watchdog(engine, root)
    actions = [len(watchdog.check(now_s)) for now_s in (0, 2, 4, 8)]
    assert actions == [0, 1, 0, 1]
    codes = [json.loads(line)["code"] for line in (root / "ledger.jsonl").read_text().splitlines()]
    assert codes == [404, 404]


@pytest.mark.parametrize("name", PAUSE_FILES)
def test_a_pause_file_stops_all_actions(engine: Engine, root: Path, name: str) -> None:
    (root / name).touch()
    watchdog = Watchdog(engine, root)
    assert [watchdog.check(now_s) for now_s in (0, 2, 20)] == [[], [], []]


def test_it_exits_when_the_engine_is_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("watchdog.__main__.EXIT_WITHOUT_ENGINE_AFTER_S", 0.2)
    monkeypatch.setattr("watchdog.__main__.CHECK_EVERY_S", 0.05)
    nowhere = Engine(str(root / "nowhere.sock"))
    with pytest.raises(EngineError):
        nowhere.containers()
    assert run(Watchdog(nowhere, root), threading.Event()) == 1
    assert "the engine doesn't answer" in capsys.readouterr().out
