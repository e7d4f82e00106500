"""Snapshots: read from what a host prints, all at once."""

from __future__ import annotations

import json

import pytest

from deploy.core.commands.snapshot import parse_snapshot
from deploy.core.state.ledger import (
    Entry,
    head_of,
    sealed,
)
from deploy.core.state.release import dump_release, make_release
from deploy.errors import CommandError, HostUnreachableError
from deploy.run.hosts.observe import look, observe, observe_what_answers
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


def test_every_line_is_a_fact() -> None:
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
    seen = parse_snapshot("a", "\n".join(lines) + "\n")
    assert (seen.host, seen.engine_version, seen.compose_version) == ("a", "28.5.2", "2.40.3")
    assert (seen.disk_free_bytes, seen.network, seen.problem) == (1234567, True, "")
    assert seen.images == {"app@sha256:1234"}
    assert seen.releases == (RELEASE,)
    assert seen.ledger == (entry,)
    assert (seen.target("app"), seen.target("other")) == ("8f3a", "")
    assert (seen.stack_keys("edge"), seen.stack_keys("metrics")) == (("k1",), ())
    assert (seen.other_stacks("edge", "k1"), seen.other_stacks("metrics", "")) == ((), ("k2",))
    replica = seen.replicas("app", RELEASE.id)[0]
    assert (replica.name, replica.address, replica.restarts) == ("app-r000001-1", "10.213.0.65", 2)
    assert replica.ready
    assert seen.running_releases("app") == (RELEASE.id,)


def test_a_bare_host_is_no_trouble() -> None:
    seen = parse_snapshot("a", "engine 28.5.2\ncompose \ndisk 5\n")
    assert (seen.network, seen.containers, seen.releases, seen.ledger) == (False, (), (), ())
    assert seen.edge.routes == ()


def test_what_is_not_ours_or_not_readable_is_passed_over() -> None:
    lines = [
        inspected("by-hand", {"py-cicd.name": "by-hand", "py-cicd.release": "by-hand"}),
        inspected("bare", {}, Config={"Labels": None}),
        'release {"id": "of a newer tool"}',
        "release not even json",
        "routes # by hand",
    ]
    seen = parse_snapshot("a", "\n".join(lines))
    assert (seen.containers, seen.releases, seen.edge.routes) == ((), (), ())


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\x0c", "\x1c"])
def test_odd_characters_end_no_line(character: str) -> None:
    environment = {"Labels": REPLICA, "Env": [f"TEXT=a{character}b"]}
    seen = parse_snapshot("a", inspected("app-r000001-1", {}, Config=environment))
    assert len(seen.containers) == 1


def test_all_hosts_are_looked_at_and_one_that_can_not_be_is_told() -> None:
    fleet = Fleet.of("a", "b")
    assert [seen.host for seen in observe(fleet.hosts)] == ["a", "b"]
    fleet.gone.add("b")
    with pytest.raises(HostUnreachableError):
        observe(fleet.hosts)
    assert [seen.problem for seen in observe_what_answers(fleet.hosts)] == [
        "",
        "b: the connection was lost",
    ]


def test_an_engine_that_is_down_is_told_with_what_it_said() -> None:
    fleet = Fleet.of("a")
    fleet.faults.append(Fault("a", 1, FaultKind.FAILS))
    with pytest.raises(
        CommandError, match="a: its Docker engine doesn't answer: simulated failure"
    ):
        look(fleet["a"])
