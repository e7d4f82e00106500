"""The history of a service and the audit of the hosts' ledgers."""

from __future__ import annotations

import pytest

from deploy.core.commands import locks
from deploy.core.state.ledger import parse_ledger
from deploy.errors import AuditError
from deploy.run.queries.history import (
    executed,
    history,
    verify,
)
from deploy.run.queries.logs import ExecCommand, execute
from deploy.run.rollout.rollout_fixture import live_fleet
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.fleet import Fleet


def test_each_command_is_recorded_with_who_ran_it_and_its_exit_code() -> None:
    fleet = live_fleet("host-1", "host-2")
    entries = parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
    assert (entries[0].event, entries[-1].event) == ("begun", "effect")
    effects = [entry for entry in entries if entry.event == "effect"]
    assert {entry.who for entry in effects} == {factories.ORIGIN.who}
    assert {entry.code for entry in effects} == {0}
    assert any(entry.what.startswith("pulling ") for entry in effects)
    assert any(entry.what.startswith("routing app to r000001-3f9c2ab") for entry in effects)
    (operation,) = history(fleet.hosts, "app")
    assert (operation.entry.outcome, operation.hosts) == ("live", ("host-1", "host-2"))


def test_intact_ledgers_are_verified() -> None:
    fleet = live_fleet("host-1", "host-2")
    count = len(fleet["host-1"].files[locks.LEDGER].splitlines())
    assert verify(fleet.hosts) == {"host-1": count, "host-2": count}


@pytest.mark.parametrize("line", [0, 3, -1])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_changed_or_missing_line_is_reported(line: int, how: str) -> None:
    fleet = live_fleet("host-1", "host-2")
    files = fleet["host-2"].files
    lines = files[locks.LEDGER].decode().splitlines()
    lines[line : line + 1 or None] = [lines[line].replace("ada", "eve")] if how == "changed" else []
    files[locks.LEDGER] = "".join(f"{each}\n" for each in lines).encode()
    with pytest.raises(AuditError, match="host-2: line") as found:
        verify(fleet.hosts)
    assert found.value.exit_code == 4
    assert "host-1" not in found.value.message


def run(fleet: Fleet, *argv: str, replica: str | None = None) -> None:
    when, who = "2026-11-02T10:00:00+00:00", "grace"
    list(execute(fleet.hosts, ExecCommand("app", argv, " ".join(argv), who, when, replica, "p/7")))


def test_a_command_in_the_replicas_is_recorded_once_on_each_host() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet["host-2"].engine.containers["app-r000001-2"].behaviour = ContainerBehaviour(
        command_ends_with=3
    )
    before = verify(fleet.hosts)
    run(fleet, "cat", "/proc/loadavg")
    assert verify(fleet.hosts) == {name: count + 1 for name, count in before.items()}
    commands = [command.document() for command in executed(fleet.hosts, "app")]
    assert [(each["host"], each["exit_code"]) for each in commands] == [
        ("host-1", 0),
        ("host-2", 3),
    ]
    assert {
        (each["who"], each["command"], each["release"], each["pipeline"]) for each in commands
    } == {("grace", "cat /proc/loadavg", "r000001-3f9c2ab", "p/7")}
    assert executed(fleet.hosts, "other") == ()


def test_a_command_is_not_recorded_on_hosts_without_replicas() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet["host-2"].engine.down("app-r000001-3f9c2ab")
    run(fleet, "id")
    assert [each.host for each in executed(fleet.hosts, "app")] == ["host-1"]


def test_a_command_is_not_an_operation() -> None:
    fleet = live_fleet("host-1", "host-2")
    run(fleet, "id")
    (operation,) = history(fleet.hosts, "app")
    assert operation.entry.turn == 1


def test_a_changed_line_of_a_command_is_reported() -> None:
    fleet = live_fleet("host-1", "host-2")
    run(fleet, "rm", "-rf", "/data")
    files = fleet["host-1"].files
    files[locks.LEDGER] = files[locks.LEDGER].replace(b"rm -rf /data", b"ls /data")
    with pytest.raises(AuditError, match="host-1: line"):
        verify(fleet.hosts)
