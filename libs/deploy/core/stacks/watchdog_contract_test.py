"""What the deploy tool and the programs on hosts must agree on: routes, labels, paths and the ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import engine_api
import exporter
import watchdog
from deploy.adapters.files import read_package
from deploy.core.commands import draining as draining_commands
from deploy.core.commands import locks, paths
from deploy.core.commands.locks import LEDGER, SEAL, TOKEN
from deploy.core.config import Edge, Metrics
from deploy.core.stacks.definitions import (
    EXPORTER_PACKAGES,
    WATCHDOG_PACKAGES,
    exporter_stack,
    metrics_stack,
    watchdog_stack,
)
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.draining import (
    DRAINS_LABEL,
    DrainEnd,
    Draining,
    DrainingReplica,
    dump_draining,
    parse_drain_end,
)
from deploy.core.state.edge import HEADER, EdgeRoute, EdgeState, dump_edge, state_name
from deploy.core.state.ledger import EntryEvent, broken_links, head_of, parse_ledger
from deploy.core.state.release import Release, make_release
from deploy.core.state.stack import REPLACED, Stack
from deploy.testing import factories
from deploy.testing.local_root import LocalRoot
from engine_api.client import EngineClient
from watchdog import drains
from watchdog.__main__ import PROBLEM_FILE, ROOT, Watchdog
from watchdog.containers import Container
from watchdog.draining import parse_drain
from watchdog.health import SUPERVISED, HealthRecord
from watchdog.record import Drained, Effect, append
from watchdog.routes import RoutesError, Served, served

SHIPPED = Path(__file__).parents[4] / "deploy"
EFFECT = Effect(
    "2026-11-02T09:00:00+00:00", "app", "r000001-aaaaaaa", "start app-1: it had ended", 0
)


def release(sequence: int) -> Release:
    return make_release(
        factories.service(replicas=2),
        factories.image("app"),
        sequence,
        factories.REPLICA,
        factories.ORIGIN,
        subnet="10.213.0.0/16",
    )


def state(live: Release, *others: Release, maintenance: bool = False) -> EdgeState:
    """The edge's state with one live service, and one that never went live."""
    route = EdgeRoute("app", "/", "")
    for offered in (*others, live):
        route = route.offer(offered.upstream)
    route = replace(route.point(live.id), maintenance=maintenance)
    never_live = EdgeRoute("shop", "/shop", "").offer(release(9).upstream)
    return EdgeState((route, never_live))


def read(found: EdgeState) -> dict[str, Served]:
    """What the watchdog reads from the files of a state."""
    files = {state_name(found): dump_edge(found)}
    return served(render_edge(found), files.__getitem__)


@pytest.mark.parametrize("maintenance", [False, True])
def test_the_watchdog_reads_what_the_deploy_tool_routes_to(maintenance: bool) -> None:
    old, live = release(1), release(2)
    found = read(state(live, old, maintenance=maintenance))
    assert found == {"app": Served(live.id, frozenset(live.addresses))}


def test_the_watchdog_reads_the_line_of_earlier_versions() -> None:
    live = release(2)
    assert served(HEADER + dump_edge(state(live))) == read(state(live))


def test_the_watchdog_refuses_a_state_whose_file_is_missing_or_damaged() -> None:
    text = render_edge(state(release(2)))
    with pytest.raises(RoutesError, match="is damaged"):
        served(text, lambda name: "{}")
    with pytest.raises(RoutesError, match="can't be read"):
        served(text, lambda name: Path(f"/nowhere/{name}").read_text())


def test_the_watchdog_reads_routes_without_any_service() -> None:
    assert read(EdgeState()) == {}


def ended(service: dict[str, Any]) -> dict[str, Any]:
    """The ended container of one service of a compose file, as the engine lists it."""
    address = service["networks"]["edge"]["ipv4_address"]
    return {
        "Id": service["container_name"],
        "Names": [f"/{service['container_name']}"],
        "Labels": service["labels"],
        "State": "exited",
        "NetworkSettings": {"Networks": {paths.NETWORK: {"IPAMConfig": {"IPv4Address": address}}}},
    }


def test_the_watchdog_recognises_the_replicas_of_a_release() -> None:
    live, health = release(2), HealthRecord()
    services = json.loads(live.compose)["services"].values()
    containers = [Container.of(ended(service)) for service in services]
    health.decide(read(state(live)), containers, 0)
    actions = health.decide(read(state(live)), containers, 5)
    assert [action.container.name for action in actions] == list(live.names)


def test_the_watchdog_supervises_every_container_of_a_stack_but_itself() -> None:
    tls = {"cert": "", "key": "", "password": "", "password_hash": ""}
    metrics = Metrics("http://127.0.0.1:9090", "ca", "cert", "key", "password")
    stacks = (
        metrics_stack("prometheus", metrics, interval_s=15, **tls),
        exporter_stack("p", {}, Edge()),
    )
    texts = [text for stack in stacks for path, text, _ in stack.files if path == "compose.yml"]
    services = [service for text in texts for service in json.loads(text)["services"].values()]
    names = {service["labels"]["py-cicd.name"] for service in services}
    assert {"edge", *names} == {*SUPERVISED}
    assert not {"watchdog", *REPLACED["watchdog"]} & {*SUPERVISED}


def test_the_exporter_reports_the_problem_that_the_watchdog_notes() -> None:
    compose = json.loads({p: t for p, t, _ in exporter_stack("p", {}, Edge()).files}["compose.yml"])
    login = Path(compose["services"]["exporter"]["environment"]["REGISTRY_LOGIN"])
    assert login.parent == Path(f"/host{ROOT}")
    source = Path(exporter.__file__).with_name("__main__.py").read_text()
    assert f'with_name("{PROBLEM_FILE}")' in source


def test_both_use_the_same_paths_on_a_host(tmp_path: Path) -> None:
    assert str(ROOT) == paths.ROOT
    routes_conf, effects, ledger = (
        tmp_path / Path(path).relative_to(paths.ROOT)
        for path in (paths.ROUTES, locks.EFFECTS, LEDGER)
    )
    live = release(1)
    routes_conf.parent.mkdir(parents=True)
    found = state(live)
    routes_conf.write_text(render_edge(found))
    stored = tmp_path / Path(paths.state_file(state_name(found))).relative_to(paths.ROOT)
    stored.parent.mkdir()
    stored.write_text(dump_edge(found))
    replica = ended(json.loads(live.compose)["services"][live.names[0]])
    engine = FakeEngine([replica])
    program = Watchdog(engine, tmp_path)
    program.check(0)
    program.check(5)
    assert engine.started == [replica["Id"]]
    assert effects.exists()
    (entry,) = parse_ledger(ledger.read_text())
    assert (entry.who, entry.service, entry.release) == ("watchdog", "app", live.id)


def test_the_watchdog_reads_the_record_of_a_drain() -> None:
    replica = DrainingReplica("0c1d", "app-r000001-1", "10.213.0.65")
    draining = Draining("app", "r000001-aaaaaaa", 7, (replica,), 1000.5, 1030.5, (71, 72))
    read = parse_drain(dump_draining(draining))
    written = {**asdict(draining), "workers": {71, 72}}
    assert asdict(read) == {key: value for key, value in written.items() if key != "format"}


def test_both_use_the_same_files_for_a_drain(tmp_path: Path) -> None:
    assert Path(paths.DRAINING_LOCK) == ROOT / drains.LOCK
    record = Path(paths.draining_file("app", "r000001-aaaaaaa"))
    assert record.relative_to(ROOT).match("services/*/draining/*.json")
    mark = draining_commands.cancel("app", "r000001-aaaaaaa")[-1]
    assert Path(mark) == record.with_suffix(drains.MARK)


def test_the_deploy_tool_reads_how_a_drain_ended(tmp_path: Path) -> None:
    append(tmp_path / "ledger.jsonl", Drained(EFFECT.when, "app", "r000001-aaaaaaa", 7, 30.5, 2, 3))
    (entry,) = parse_ledger((tmp_path / "ledger.jsonl").read_text())
    assert (entry.turn, entry.event, entry.seconds) == (7, EntryEvent.DRAINED, 30.5)
    assert parse_drain_end(entry.what) == DrainEnd(replicas=2, cut=3)


def test_the_shipped_watchdog_announces_that_it_finishes_drains() -> None:
    assert f'{DRAINS_LABEL}: "1"' in (SHIPPED / "watchdog.yml").read_text()


class FakeEngine(EngineClient):
    """An engine that lists these containers and records which were started."""

    def __init__(self, listed: list[dict[str, Any]]) -> None:
        super().__init__("unused")
        self._listed = listed
        self.started: list[str] = []

    def deployed_containers(self) -> list[dict[str, Any]]:
        return self._listed

    def start(self, container: str) -> None:
        self.started.append(container)


def test_both_write_one_chain_into_the_ledger(tmp_path: Path) -> None:
    machine = LocalRoot.at(tmp_path / "root")
    ledger, seal = (machine.root / Path(name).name for name in (LEDGER, SEAL))
    (machine.root / Path(TOKEN).name).write_text("token")
    head = head_of(replace(factories.ENTRY, event="effect", what="a line of the tool's"))
    for _ in range(2):
        append(ledger, EFFECT)
        assert machine.run(locks.record("token", head)).returncode == 0
    with ledger.open("a") as file:
        file.write('{"torn')
    append(ledger, EFFECT)
    entries = parse_ledger(ledger.read_text())
    assert [entry.who for entry in entries] == ["watchdog", factories.ENTRY.who] * 2 + ["watchdog"]
    assert [bool(entry.at) for entry in entries] == [False, True] * 2 + [False]
    torn = 5
    assert broken_links(ledger.read_text(), seal.read_text()) == (torn,)


def test_a_missing_last_line_of_the_watchdog_is_found(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    for _ in range(3):
        append(ledger, EFFECT)
    text, seal = ledger.read_text(), ledger.with_name("ledger.jsonl.seal").read_text()
    assert broken_links(text, seal) == ()
    assert broken_links("".join(text.splitlines(keepends=True)[:-1]), seal) == (3,)


@pytest.mark.parametrize("program", ["watchdog", "exporter"])
def test_a_stack_contains_every_module_that_its_program_imports(
    program: str, tmp_path: Path
) -> None:
    stack, folder = packed(program)
    for path, text, _ in stack.files:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import {program}.__main__, engine_api.client"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / folder)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def packed(program: str) -> tuple[Stack, str]:
    """The stack of a program with its real modules, and the folder of these within it."""
    folders = {
        module.__name__: Path(module.__file__).parent
        for module in (engine_api, exporter, watchdog)
        if module.__file__
    }
    names = {"watchdog": WATCHDOG_PACKAGES, "exporter": EXPORTER_PACKAGES}[program]
    modules = {
        f"{name}/{file}": text
        for name in names
        for file, text in read_package(folders[name]).items()
    }
    if program == "watchdog":
        return watchdog_stack("python", "services: {}\n", modules), "code"
    return exporter_stack("python", modules, Edge()), "conf"
