"""The audit record: every effect stands in it, and a change of it is found."""

from __future__ import annotations

import pytest

from deploy.core import locks
from deploy.core.ledger import parse_ledger
from deploy.errors import AuditError
from deploy.run.deploy import Request, World, deploy
from deploy.run.history import history, verify
from deploy.testing import wishes
from deploy.testing.fleet import Fleet


def deployed() -> Fleet:
    fleet = Fleet.of("host-1", "host-2")
    world = World(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)
    request = Request(
        wishes.service(), wishes.image("one"), wishes.REPLICA, wishes.parts(), wishes.ORIGIN
    )
    fleet.images.update([request.image, *(part.image for part in request.parts)])
    deploy(request, world, lambda event: None)
    return fleet


def test_each_effect_is_told_with_who_and_how_it_ended() -> None:
    fleet = deployed()
    entries = parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
    assert (entries[0].event, entries[-1].event) == ("begun", "effect")
    effects = [entry for entry in entries if entry.event == "effect"]
    assert {entry.who for entry in effects} == {wishes.ORIGIN.who}
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
