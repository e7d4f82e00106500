"""The audit record: every effect stands in it, and a change of it is found."""

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
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    deploy,
)
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.fleet import Fleet


def deployed() -> Fleet:
    fleet = Fleet.of("host-1", "host-2")
    context = DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)
    request = DeployCommand(
        factories.service(),
        factories.image("one"),
        factories.REPLICA,
        factories.stacks(),
        factories.ORIGIN,
    )
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    deploy(request, context, lambda event: None)
    return fleet


def test_each_effect_is_told_with_who_and_how_it_ended() -> None:
    fleet = deployed()
    entries = parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
    assert (entries[0].event, entries[-1].event) == ("begun", "effect")
    effects = [entry for entry in entries if entry.event == "effect"]
    assert {entry.who for entry in effects} == {factories.ORIGIN.who}
    assert {entry.code for entry in effects} == {0}
    assert any(entry.what.startswith("pulling ") for entry in effects)
    assert any(entry.what.startswith("routing app to r000001-3f9c2ab") for entry in effects)
    (operation,) = history(fleet.hosts, "app")
    assert (operation.entry.outcome, operation.hosts) == ("live", ("host-1", "host-2"))


def test_a_whole_record_is_said_to_be_whole() -> None:
    fleet = deployed()
    count = len(fleet["host-1"].files[locks.LEDGER].splitlines())
    assert verify(fleet.hosts) == {"host-1": count, "host-2": count}


@pytest.mark.parametrize("line", [0, 3, -1])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_changed_or_missing_line_is_found(line: int, how: str) -> None:
    fleet = deployed()
    files = fleet["host-2"].files
    lines = files[locks.LEDGER].decode().splitlines()
    lines[line : line + 1 or None] = [lines[line].replace("ada", "eve")] if how == "changed" else []
    files[locks.LEDGER] = "".join(f"{each}\n" for each in lines).encode()
    with pytest.raises(AuditError, match="host-2: line") as found:
        verify(fleet.hosts)
    assert found.value.exit_code == 4
    assert "host-1" not in found.value.message


def run(fleet: Fleet, *argv: str, replica: str = "") -> None:
    when, who = "2026-11-02T10:00:00+00:00", "grace"
    list(execute(fleet.hosts, ExecCommand("app", argv, " ".join(argv), who, when, replica, "p/7")))


def test_a_command_in_the_replicas_leaves_one_line_on_each_host() -> None:
    fleet = deployed()
    fleet["host-2"].engine.containers["app-r000001-2"].behaviour = ContainerBehaviour(
        command_ends_with=3
    )
    before = verify(fleet.hosts)
    run(fleet, "cat", "/proc/loadavg")
    assert verify(fleet.hosts) == {name: count + 1 for name, count in before.items()}
    told = [each.document() for each in executed(fleet.hosts, "app")]
    assert [(each["host"], each["exit_code"]) for each in told] == [("host-1", 0), ("host-2", 3)]
    assert {(each["who"], each["command"], each["release"], each["pipeline"]) for each in told} == {
        ("grace", "cat /proc/loadavg", "r000001-3f9c2ab", "p/7")
    }
    assert executed(fleet.hosts, "other") == ()


def test_a_host_that_a_command_did_not_touch_tells_of_none() -> None:
    fleet = deployed()
    fleet["host-2"].engine.down("app-r000001-3f9c2ab")
    run(fleet, "id")
    assert [each.host for each in executed(fleet.hosts, "app")] == ["host-1"]


def test_a_command_is_no_operation_and_a_deploy_goes_on_after_it() -> None:
    fleet = deployed()
    run(fleet, "id")
    (operation,) = history(fleet.hosts, "app")
    assert operation.entry.turn == 1


def test_a_command_s_line_that_was_changed_is_found() -> None:
    fleet = deployed()
    run(fleet, "rm", "-rf", "/data")
    files = fleet["host-1"].files
    files[locks.LEDGER] = files[locks.LEDGER].replace(b"rm -rf /data", b"ls /data")
    with pytest.raises(AuditError, match="host-1: line"):
        verify(fleet.hosts)
