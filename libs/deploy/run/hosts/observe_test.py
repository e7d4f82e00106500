"""Snapshots of hosts, parsed from the output of one script."""

from __future__ import annotations

import json

import pytest

from deploy.core.commands.paths import ROUTES
from deploy.core.commands.snapshot import parse_snapshot
from deploy.core.state.ledger import (
    Entry,
    head_of,
    sealed,
)
from deploy.core.state.release import dump_release, make_release
from deploy.errors import CommandError, HostUnreachableError, RecordError
from deploy.run.hosts.observe import observe, observe_host, observe_reachable
from deploy.testing import factories
from deploy.testing.fleet.faults import Fault, FaultKind
from deploy.testing.fleet.fleet import Fleet

RELEASE = make_release(
    factories.service(),
    factories.image("one"),
    1,
    factories.REPLICA,
    factories.ORIGIN,
    subnet="10.213.0.0/16",
)


def inspected(name: str, labels: dict[str, str], **more: object) -> str:
    document = {
        "Id": "0c1d",
        "Name": f"/{name}",
        "RestartCount": 2,
        "State": {"Status": "running", "Health": {"Status": "healthy"}},
        "Config": {"Labels": labels},
        "NetworkSettings": {"Networks": {"py-cicd": {"IPAddress": "10.213.0.65"}}},
        **more,
    }
    return f"container {json.dumps(document, ensure_ascii=False)}"


REPLICA = {
    "py-cicd.name": "app-r000001-1",
    "py-cicd.service": "app",
    "py-cicd.release": RELEASE.id,
}


def test_snapshot_is_parsed_from_lines_of_facts() -> None:
    entry = Entry(1, "", "ada", "deploy", "app", RELEASE.id, 1, "ended", "live")
    lines = [
        "engine 28.5.2",
        "compose 2.40.3",
        "disk 1234567",
        "network py-cicd",
        "image app@sha256:1234",
        inspected("app-r000001-1", REPLICA),
        inspected("edge", {"py-cicd.name": "edge", "py-cicd.key": "k1"}),
        inspected(
            "metrics", {"py-cicd.name": "metrics", "py-cicd.key": "k2"}, State={"Status": "exited"}
        ),
        f"release {dump_release(RELEASE)}",
        'routes # py-cicd edge: {"routes":[]}',
        "targets 8f3a  app.json",
        f"ledger {sealed(head_of(entry), '')}",
        "ledger {torn",
    ]
    host = parse_snapshot("a", "\n".join(lines) + "\n")
    assert (host.host, host.engine_version, host.compose_version) == ("a", "28.5.2", "2.40.3")
    assert (host.disk_free_bytes, host.network, host.problem) == (1234567, True, None)
    assert host.images == {"app@sha256:1234"}
    assert host.releases == (RELEASE,)
    assert host.ledger == (entry,)
    assert (host.target("app"), host.target("other")) == ("8f3a", None)
    assert (host.stack_keys("edge"), host.stack_keys("metrics")) == (("k1",), ())
    assert (host.other_stacks("edge", "k1"), host.other_stacks("metrics", None)) == ((), ("k2",))
    replica = host.replicas("app", RELEASE.id)[0]
    assert (replica.name, replica.address, replica.restarts) == ("app-r000001-1", "10.213.0.65", 2)
    assert replica.ready
    assert host.running_releases("app") == (RELEASE.id,)


def test_snapshot_of_a_bare_host_is_empty() -> None:
    host = parse_snapshot("a", "engine 28.5.2\ncompose \ndisk 5\n")
    assert (host.network, host.containers, host.releases, host.ledger) == (False, (), (), ())
    assert host.edge.routes == ()


def test_foreign_and_unreadable_records_are_skipped() -> None:
    lines = [
        inspected("by-hand", {"py-cicd.name": "by-hand", "py-cicd.release": "by-hand"}),
        inspected("bare", {}, Config={"Labels": None}),
        'release {"id": "of a newer tool"}',
        "release not even json",
        "routes # by hand",
    ]
    host = parse_snapshot("a", "\n".join(lines))
    assert (host.containers, host.releases, host.edge.routes) == ((), (), ())


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\x0c", "\x1c"])
def test_only_newlines_end_a_line(character: str) -> None:
    environment = {"Labels": REPLICA, "Env": [f"TEXT=a{character}b"]}
    host = parse_snapshot("a", inspected("app-r000001-1", {}, Config=environment))
    assert len(host.containers) == 1


def test_unreachable_host_has_a_problem_or_raises() -> None:
    fleet = Fleet.of("a", "b")
    assert [host.host for host in observe(fleet.hosts)] == ["a", "b"]
    fleet.gone.add("b")
    with pytest.raises(HostUnreachableError):
        observe(fleet.hosts)
    assert [host.problem for host in observe_reachable(fleet.hosts)] == [
        None,
        "b: the connection was lost",
    ]


def test_engine_that_is_down_is_reported_with_its_message() -> None:
    fleet = Fleet.of("a")
    fleet.faults.append(Fault("a", 1, FaultKind.FAILS))
    with pytest.raises(
        CommandError, match="a: its Docker engine doesn't answer: simulated failure"
    ):
        observe_host(fleet["a"])


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (b'# py-cicd edge: {"format": 99, "routes": []}', "are of a newer version", "newer one"),
        (b'# py-cicd edge: {"routes": [', "are damaged: the edge's state", "host repair a"),
        (b"# py-cicd edge: []", "should be EdgeState", "host repair a"),
        (b"# py-cicd edge: " + b"[" * 100_000, "nested too deep", "host repair a"),
    ],
)
def test_a_damaged_or_newer_state_is_a_typed_error_that_needs_a_person(
    text: bytes, problem: str, hint: str
) -> None:
    fleet = Fleet.of("a")
    fleet["a"].files[ROUTES] = text + b"\n"
    with pytest.raises(RecordError, match=problem) as refused:
        observe_host(fleet["a"])
    assert refused.value.exit_code == 4
    assert hint in refused.value.hint
    (host,) = observe_reachable(fleet.hosts)
    assert problem in (host.problem or "")
