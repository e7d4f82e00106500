"""Drains that a deploy left to the host, carried out by the watchdog, which may end before any of its steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine_api.client import EngineApiError, EngineClient
from watchdog import drains
from watchdog.__main__ import PAUSE_FILES, Watchdog
from watchdog.record import append

BEGUN_S, DRAIN_S = 1_000.0, 30.0
OLD_WORKER = (71, "nginx: worker process is shutting down")
NEW_WORKER = (72, "nginx: worker process")
CUT = (
    "2026/11/29 06:00:00 [error] 71#71: *{} upstream prematurely closed connection while reading upstream, "
    'client: 1.2.3.4, request: "GET /events HTTP/1.1", upstream: "http://10.213.0.65:8080/events", host: "a"'
)


class Died(BaseException):
    """The watchdog, its engine or the host ended here."""


@dataclass
class Host:
    """A host in the middle of a drain of one release with two replicas. A step is whatever changes it."""

    root: Path
    now_s: float = BEGUN_S
    states: dict[str, str] = field(default_factory=dict)
    signals: list[str] = field(default_factory=list)
    workers: list[tuple[int, str]] = field(default_factory=lambda: [OLD_WORKER, NEW_WORKER])
    errors: list[str] = field(default_factory=list)
    routed: list[str] = field(default_factory=list)
    ends_when_signalled: bool = True
    steps: list[str] = field(default_factory=list)
    dies_before: int | None = None
    engine_up: bool = True

    def step(self, name: str) -> None:
        if self.dies_before == len(self.steps):
            self.dies_before = None
            raise Died
        self.steps.append(name)

    @property
    def record(self) -> Path:
        return self.root / "services" / "app" / "draining" / "r000001-aaaaaaa.json"

    def begin(self, **changed: object) -> None:
        """Writes the record, as a deploy does."""
        document = {
            "format": 1,
            "service": "app",
            "release": "r000001-aaaaaaa",
            "turn": 7,
            "replicas": [
                {"id": f"id-{n}", "name": f"app-r000001-{n}", "address": f"10.213.0.{64 + n}"}
                for n in (1, 2)
            ],
            "begun_s": BEGUN_S,
            "deadline_s": BEGUN_S + DRAIN_S,
            "workers": [71],
            **changed,
        }
        self.states |= {"id-1": "running", "id-2": "running"}
        self.record.parent.mkdir(parents=True, exist_ok=True)
        self.record.write_text(json.dumps(document))

    def listed(self) -> list[dict[str, Any]]:
        found = [("edge", "edge", "running", "", "edge")]
        found += [
            (each, f"app-r000001-{each[-1]}", state, f"10.213.0.{64 + int(each[-1])}", "replica")
            for each, state in self.states.items()
        ]
        return [
            {
                "Id": identity,
                "Names": [f"/{name}"],
                "Labels": {"py-cicd.name": label},
                "State": state,
                "NetworkSettings": {
                    "Networks": {"py-cicd": {"IPAMConfig": {"IPv4Address": address}}}
                },
            }
            for identity, name, state, address, label in found
        ]

    def check(self) -> None:
        """Starts a watchdog, which checks once."""
        Watchdog(Engine(self), self.root).check(0)

    def ledger(self) -> list[dict[str, Any]]:
        file = self.root / "ledger.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def drained(self) -> list[dict[str, Any]]:
        return [entry for entry in self.ledger() if entry["event"] == "drained"]


class Engine(EngineClient):
    """The engine of a host."""

    def __init__(self, host: Host) -> None:
        super().__init__("unused")
        self._host = host

    def deployed_containers(self) -> list[dict[str, Any]]:
        if not self._host.engine_up:
            raise EngineApiError("the engine doesn't answer")
        return self._host.listed()

    def processes(self, container: str) -> list[tuple[int, str]]:
        assert container == "edge"
        return self._host.workers

    def error_lines(self, container: str, *, since: float) -> list[str]:
        assert container == "edge"
        assert since == pytest.approx(self._host.now_s, abs=60)
        return self._host.errors

    def signal(self, container: str) -> bool:
        self._host.step(f"signal {container}")
        self._host.signals.append(container)
        if self._host.ends_when_signalled:
            self._host.states[container] = "exited"
        return True

    def remove(self, container: str) -> None:
        self._host.step(f"remove {container}")
        self._host.states.pop(container, None)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    conf = tmp_path / "edge" / "conf"
    conf.mkdir(parents=True)
    route(host)
    monkeypatch.setattr("watchdog.__main__.time.time", lambda: host.now_s)

    def counted[**P](name: str, call: Callable[P, None]) -> Callable[P, None]:
        def counting(*args: P.args, **kwargs: P.kwargs) -> None:
            host.step(name)
            call(*args, **kwargs)

        return counting

    monkeypatch.setattr(drains, "write_durably", counted("mark", drains.write_durably))
    monkeypatch.setattr("watchdog.drains.append", counted("ledger", append))
    monkeypatch.setattr(Path, "unlink", counted("unlink", Path.unlink))
    return host


def route(host: Host, *servers: str) -> None:
    """Writes the edge's text with these servers."""
    upstream = {"release": "r000001-aaaaaaa", "servers": list(servers)}
    routes = [{"service": "app", "live": "", "upstreams": [upstream]}]
    text = f"# py-cicd edge: {json.dumps({'routes': routes})}\n"
    (host.root / "edge" / "conf" / "routes.conf").write_text(text)


def finish(host: Host) -> None:
    """Lets watchdogs check until the record is gone. Each is a new process, as after a restart."""
    for _ in range(20):
        if not host.record.exists():
            return
        host.check()
    raise AssertionError(f"not finished after {host.steps}")


def test_replicas_with_connections_are_left_alone_until_drain_s(host: Host) -> None:
    host.begin()
    host.now_s = BEGUN_S + DRAIN_S - 0.1
    host.check()
    assert (host.signals, host.steps) == ([], [])
    host.now_s = BEGUN_S + DRAIN_S
    finish(host)
    assert host.states == {}
    assert sorted(host.signals) == ["id-1", "id-2"]
    (entry,) = host.drained()
    assert (entry["turn"], entry["release"], entry["seconds"]) == (7, "r000001-aaaaaaa", DRAIN_S)


def test_replicas_stop_once_the_old_workers_are_gone(host: Host) -> None:
    host.begin()
    host.workers = [NEW_WORKER, (90, "nginx: worker process is shutting down")]
    host.now_s = BEGUN_S + 3
    finish(host)
    assert host.states == {}
    assert host.drained()[0]["seconds"] == 3


def test_workers_that_could_not_be_listed_do_not_count_as_gone(host: Host) -> None:
    host.begin(workers=None)
    host.workers = []
    host.check()
    assert host.signals == []


def test_requests_that_are_cut_are_counted(host: Host) -> None:
    host.begin()
    host.now_s = BEGUN_S + DRAIN_S
    elsewhere = CUT.format(9).replace("10.213.0.65", "10.213.0.99")
    host.errors = [CUT.format(5), CUT.format(5), CUT.format(6), elsewhere, "[warn] something"]
    finish(host)
    assert json.loads(host.drained()[0]["what"]) == {"replicas": 2, "cut": 2}


def test_replica_that_does_not_end_is_killed_soon_after_drain_s(host: Host) -> None:
    host.ends_when_signalled = False
    host.begin()
    program = Watchdog(Engine(host), host.root)
    host.now_s = BEGUN_S + DRAIN_S
    program.check(0)
    host.now_s += 4.9
    program.check(0)
    assert host.states == {"id-1": "running", "id-2": "running"}
    host.now_s += 0.2
    program.check(0)
    assert host.states == {}
    assert any("kill app-r000001-1: it did not end" in entry["what"] for entry in host.ledger())


def test_replica_that_users_reach_again_is_never_touched(host: Host) -> None:
    host.begin()
    route(host, "10.213.0.65:8080")
    host.now_s = BEGUN_S + DRAIN_S
    finish(host)
    assert host.signals == ["id-2"]
    assert host.states == {"id-1": "running"}


@pytest.mark.parametrize("text", ["", "# written by hand", '# py-cicd edge: {"routes'])
def test_nothing_ends_while_the_edges_state_cannot_be_read(host: Host, text: str) -> None:
    host.begin()
    (host.root / "edge" / "conf" / "routes.conf").write_text(text)
    host.now_s = BEGUN_S + DRAIN_S
    host.check()
    assert (host.signals, host.record.exists()) == ([], True)


@pytest.mark.parametrize("name", PAUSE_FILES)
def test_a_paused_watchdog_drains_nothing(host: Host, name: str) -> None:
    host.begin()
    (host.root / name).touch()
    host.now_s = BEGUN_S + DRAIN_S
    host.check()
    assert host.signals == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2}', '{"format": 1}', '{"format": "x"}']
)
def test_record_that_cannot_be_read_stays_as_it_is(host: Host, text: str) -> None:
    host.begin()
    host.record.write_text(text)
    host.now_s = BEGUN_S + DRAIN_S
    host.check()
    assert (host.signals, host.record.read_text()) == ([], text)


def test_a_clock_that_was_set_back_keeps_no_replica(host: Host) -> None:
    host.begin()
    host.now_s = BEGUN_S - 3600
    finish(host)
    assert host.states == {}


def steps_of_a_drain(host: Host) -> list[str]:
    host.begin()
    host.now_s = BEGUN_S + DRAIN_S
    finish(host)
    return list(host.steps)


def test_a_drain_has_these_steps(host: Host) -> None:
    assert steps_of_a_drain(host) == [
        *("mark", "signal id-1", "signal id-2", "ledger"),
        *("remove id-1", "remove id-2", "ledger"),
        *("ledger", "unlink", "unlink"),
    ]


@pytest.mark.parametrize("what", ["watchdog", "engine", "host"])
@pytest.mark.parametrize("number", range(10))
def test_drain_ends_whatever_dies_before_a_step(host: Host, number: int, what: str) -> None:
    host.begin()
    host.now_s = BEGUN_S + DRAIN_S
    host.dies_before = number
    with pytest.raises(Died):
        finish(host)
    if what == "engine":
        host.engine_up = False
        with pytest.raises(EngineApiError):
            host.check()
        host.engine_up = True
    if what == "host":
        # All processes are gone, and the engine has started the containers that it still has.
        host.workers = [NEW_WORKER]
        host.states = dict.fromkeys(host.states, "running")
    finish(host)
    assert host.states == {}
    assert not list(host.record.parent.iterdir())
    assert {entry["turn"] for entry in host.drained()} == {7}


def test_whoever_sees_no_mark_knows_that_no_replica_was_signalled(host: Host) -> None:
    for number in range(10):
        host.begin()
        host.signals, host.steps, host.dies_before = [], [], number
        host.now_s = BEGUN_S + DRAIN_S
        with pytest.raises(Died):
            finish(host)
        mark = host.record.with_suffix(".signalled")
        if host.record.exists() and not mark.exists() and host.states:
            assert host.signals == []
        if mark.exists():
            assert set(host.signals) <= set(mark.read_text().split())
        finish(host)
