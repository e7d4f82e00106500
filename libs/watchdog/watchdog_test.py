"""The watchdog against an engine that is a real HTTP server behind a real Unix socket."""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine_api.client import EngineApiError, EngineClient
from engine_api.server_fixture import engine_socket
from watchdog.__main__ import (
    PAUSE_FILES,
    PROBLEM_FILE,
    WAKING_EVENTS,
    Watchdog,
    run,
    wake_on_events,
)
from watchdog.containers import Container

LABELS = {
    "py-cicd.name": "app-r000001-1",
    "py-cicd.service": "app",
    "py-cicd.release": "r000001-aaaaaaa",
}
LISTED: dict[str, Any] = {
    "Id": "0c1d",
    "Names": ["/app-r000001-1"],
    "Labels": LABELS,
    "State": "exited",
    "Status": "Exited (137) 2 seconds ago",
    "Created": 17,
    "NetworkSettings": {
        "Networks": {"py-cicd": {"IPAMConfig": {"IPv4Address": "10.213.0.65"}, "IPAddress": ""}}
    },
}


@dataclass
class FakeEngine:
    """An engine with one container. It answers commands with `refusal` if that isn't None."""

    client: EngineClient
    commands: list[str] = field(default_factory=list)
    refusal: int | None = None
    listed: dict[str, Any] = field(default_factory=lambda: LISTED)

    def respond(self, method: str, path: str) -> tuple[int, bytes]:
        if method == "POST":
            self.commands.append(path)
            return (
                (self.refusal, b'{"message": "no such container"}') if self.refusal else (204, b"")
            )
        if path.startswith("/events"):
            return 200, b'{"Action": "die"}\n{"Action": "health_status: unhealthy"}\n'
        if path == "/containers/0c1d/json":
            return 200, b'{"Config": {"StopTimeout": 40}}'
        assert path.startswith("/containers/json?")
        return 200, json.dumps([self.listed]).encode()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    path = tmp_path / "docker.sock"
    engine = FakeEngine(EngineClient(str(path)))
    with engine_socket(path, engine.respond):
        yield engine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    conf = tmp_path / "edge" / "conf"
    conf.mkdir(parents=True)
    upstream = {"release": "r000001-aaaaaaa", "servers": ["10.213.0.65:8080"]}
    edge = {"routes": [{"service": "app", "live": "r000001-aaaaaaa", "upstreams": [upstream]}]}
    (conf / "routes.conf").write_text(f"# py-cicd edge: {json.dumps(edge)}\n")
    return tmp_path


def test_an_element_of_the_engines_list_is_parsed() -> None:
    assert Container.of(LISTED) == Container(
        "0c1d", "app-r000001-1", LABELS, "exited", False, 17, address="10.213.0.65"
    )
    for status, expected in (
        ("Up (unhealthy)", (True, False)),
        ("Up (health: starting)", (False, True)),
    ):
        found = Container.of({**LISTED, "Status": status})
        assert (found.unhealthy, found.starting) == expected


def test_an_event_wakes_the_watchdog(engine: FakeEngine) -> None:
    events = list(engine.client.container_events(*WAKING_EVENTS))
    assert events == ["die", "health_status: unhealthy"]
    wake = threading.Event()
    threading.Thread(target=wake_on_events, args=(engine.client, wake), daemon=True).start()
    assert wake.wait(5)


def test_a_live_replica_is_started_and_the_start_is_recorded(
    engine: FakeEngine, root: Path
) -> None:
    watchdog = Watchdog(engine.client, root)
    assert watchdog.check(0) == []
    assert [action.verb for action in watchdog.check(2)] == ["start"]
    assert engine.commands == ["/containers/0c1d/start"]
    entry = json.loads((root / "ledger.jsonl").read_text())
    assert (entry["who"], entry["event"], entry["service"]) == ("watchdog", "effect", "app")
    assert (entry["what"], entry["code"]) == ("start app-r000001-1: it had ended", 0)


def test_a_restart_signals_and_waits_without_the_lock_of_effects(
    engine: FakeEngine, root: Path
) -> None:
    watchdog = Watchdog(engine.client, root)
    engine.listed = {**LISTED, "State": "running", "Status": "Up 2 minutes (unhealthy)"}
    assert [action.verb for action in watchdog.check(0)] == ["restart"]
    assert [watchdog.check(now_s) for now_s in (10, 39)] == [[], []]
    with (root / "effects").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as a deploy takes it
    assert [action.verb for action in watchdog.check(41)] == ["kill"]
    engine.listed = LISTED
    assert [action.verb for action in watchdog.check(42)] == ["start"]
    assert engine.commands == [
        "/containers/0c1d/kill?signal=SIGTERM",
        "/containers/0c1d/kill?signal=SIGKILL",
        "/containers/0c1d/start",
    ]


def test_an_action_that_fails_is_recorded_and_repeated_later(
    engine: FakeEngine, root: Path
) -> None:
    engine.refusal = 404
    watchdog = Watchdog(engine.client, root)
    actions = [len(watchdog.check(now_s)) for now_s in (0, 2, 4, 8)]
    assert actions == [0, 1, 0, 1]
    codes = [json.loads(line)["code"] for line in (root / "ledger.jsonl").read_text().splitlines()]
    assert codes == [404, 404]


@pytest.mark.parametrize("name", PAUSE_FILES)
def test_a_pause_file_stops_all_actions(engine: FakeEngine, root: Path, name: str) -> None:
    (root / name).touch()
    watchdog = Watchdog(engine.client, root)
    assert [watchdog.check(now_s) for now_s in (0, 2, 20)] == [[], [], []]


@pytest.mark.parametrize(
    "damage",
    [
        None,
        b"",
        b"\xff\xfe",
        b"# py-cicd edge: {",
        b'# py-cicd edge: {"routes": 7}',
        b"upstream app {}\n",
    ],
)
def test_damaged_routes_leave_replicas_as_they_are_until_they_can_be_read(
    engine: FakeEngine, root: Path, damage: bytes | None
) -> None:
    routes, watchdog = root / "edge" / "conf" / "routes.conf", Watchdog(engine.client, root)
    whole = routes.read_bytes()
    if damage is None:
        routes.unlink()
    else:
        routes.write_bytes(damage)
    assert [watchdog.check(now_s) for now_s in (0, 2, 20)] == [[], [], []]
    assert (
        "routes" in (root / PROBLEM_FILE).read_text()
        or "state" in (root / PROBLEM_FILE).read_text()
    )
    routes.write_bytes(whole)
    watchdog.check(30)
    assert not (root / PROBLEM_FILE).exists()
    assert [action.verb for action in watchdog.check(32)] == ["start"]


def test_it_exits_when_the_engine_is_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("watchdog.__main__.EXIT_WITHOUT_ENGINE_AFTER_S", 0.2)
    monkeypatch.setattr("watchdog.__main__.CHECK_EVERY_S", 0.05)
    engine = EngineClient(str(root / "nowhere.sock"))
    watchdog = Watchdog(engine, root)
    with pytest.raises(EngineApiError):
        watchdog.check(0)
    assert run(watchdog, threading.Event()) == 1
    assert "the engine doesn't answer" in capsys.readouterr().out
