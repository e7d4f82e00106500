"""`ship status` as people and scripts read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from deploy.cli.output.status_screen import render
from deploy.cli.verb import Document
from deploy.cli.verbs.status import VERB, document_of
from deploy.core.commands import locks
from deploy.core.config import HostConfig
from deploy.run.queries.status import status
from deploy.run.rollout.deploy import deploy
from deploy.run.rollout.rollout_fixture import (
    ONE,
    context,
    deploy_command,
    fault_at,
    live_fleet,
)
from deploy.testing import factories
from deploy.testing.fleet.docker import GOOD, ContainerBehaviour
from deploy.testing.fleet.faults import FaultKind, Killed
from deploy.testing.fleet.fleet import Fleet


def document(fleet: Fleet) -> Document:
    found = status(fleet.environment(), fleet.hosts, [factories.service()])
    return document_of(fleet.environment(), found)


def lines(fleet: Fleet) -> list[str]:
    return VERB.show(document(fleet)).splitlines()


def test_an_unreachable_host_makes_the_exit_code_4_and_is_named_beside_what_is_live() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet.gone.add("host-2")
    found = document(fleet)
    assert (found["ok"], found["exit_code"]) == (False, 4)
    error = cast("dict[str, str]", found["error"])
    assert error["message"] == "host-2: the connection was lost"
    assert (
        f"app: {ONE} live on host-1; host-2 unreachable (the connection was lost), "
        "3/6 replicas ready" in lines(fleet)
    )


def test_a_service_with_a_host_name_has_its_own_url_and_a_command_that_reaches_it() -> None:
    service = factories.service(host="shop.test")
    environment = replace(
        Fleet.of("host-1").environment(),
        hosts=(HostConfig("host-1", "127.0.0.1", "http://127.0.0.1:18080", "host-1:9443"),),
    )
    fleet = Fleet.of("host-1")
    found = document_of(environment, status(environment, fleet.hosts, [service]))
    assert found["urls"] == {"app": "http://shop.test:18080"}
    assert (
        "  http://shop.test:18080, here: "
        "curl --resolve shop.test:18080:127.0.0.1 http://shop.test:18080"
    ) in VERB.show(found).splitlines()


def test_what_is_wrong_comes_first_with_since_when_and_the_command() -> None:
    fleet = live_fleet("host-1", "host-2")
    containers = fleet["host-2"].engine.containers
    containers["app-r000001-2"].behaviour = ContainerBehaviour(dies_after_s=0)
    assert lines(fleet)[:3] == [
        "environment memory: 1 problem",
        "  host-2: app-r000001-2 is exited, since 2026-11-28 10:00 UTC",
        "    next: ./ship logs app",
    ]
    containers["app-r000001-2"].behaviour = GOOD
    assert lines(fleet)[0] == "environment memory: everything runs as recorded"


def test_a_mixed_fleet_is_wrong_since_the_operation_that_was_interrupted() -> None:
    fleet = live_fleet("host-1", "host-2")
    kill = fault_at(fleet, "PointTraffic", "host-2", FaultKind.KILLED)
    with pytest.raises(Killed):
        deploy(deploy_command(fleet, "two"), context(fleet), kill)
    fleet.revive()
    (first, *_) = cast("list[dict[str, Any]]", document(fleet)["services"])[0]["problems"]
    assert first["text"].startswith("the fleet is mixed: host-1 serves ")
    assert first["command"] == "./ship deploy app"
    assert first["since"].startswith("2026-11-02T09:0")


@pytest.mark.parametrize("height", [24, 40])
def test_a_large_fleet_fits_the_screen_and_its_problems_are_on_it(height: int) -> None:
    fleet = live_fleet(*(f"host-{number}" for number in range(1, 31)))
    fleet.gone.add("host-30")
    shown = render(document(fleet), height).splitlines()
    assert len(shown) < height
    assert shown[0] == "environment memory: 1 problem"
    assert "host-30: the connection was lost" in shown[1]
    assert shown[2].strip().startswith("next: ")
    assert any(line.split()[:2] == ["host-30", "unreachable"] for line in shown)
    counted = [line for line in shown if line.startswith("  and ")]
    assert len(counted) == (height < 36)
    assert all(line.endswith("more: --json lists all") for line in counted)
    assert len(lines(fleet)) > 30


def test_nothing_is_to_be_mended_while_somebody_holds_the_lock() -> None:
    fleet = live_fleet("host-1")
    fleet["host-1"].engine.containers["app-r000001-2"].behaviour = ContainerBehaviour(
        dies_after_s=0
    )
    fleet["host-1"].locked_by = "somebody"
    fleet["host-1"].files[locks.HOLDER] = b'{"who": "ada", "since": "2026-11-02T09:00:00+00:00"}\n'
    assert lines(fleet)[2] == "    next: wait until ada is done, then ./ship status"


def test_a_fleet_that_answers_leaves_ok_and_exit_code_to_main() -> None:
    assert "exit_code" not in document(live_fleet())
