"""Status, history and logs of simulated hosts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from deploy.core.commands import locks
from deploy.errors import ShipError, UsageError
from deploy.run.queries.history import history
from deploy.run.queries.logs import (
    ExecCommand,
    ExitCode,
    LogLine,
    execute,
    logs,
)
from deploy.run.queries.status import status
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    deploy,
)
from deploy.run.rollout.events import Event, StepBegun
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import (
    Fault,
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet

ONE, TWO = "r000001-3f9c2ab", "r000002-3f9c2ab"


def request(fleet: Fleet, label: str) -> DeployCommand:
    found = DeployCommand(
        factories.service(),
        factories.image(label),
        factories.REPLICA,
        factories.stacks(),
        factories.ORIGIN,
    )
    fleet.images.update([found.image, *(stack.image for stack in found.stacks)])
    return found


def context(fleet: Fleet) -> DeployContext:
    return DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)


def live_fleet() -> Fleet:
    fleet = Fleet.of("host-1", "host-2")
    deploy(request(fleet, "one"), context(fleet), lambda event: None)
    return fleet


def killed_at(fleet: Fleet, step: str, host: str) -> None:
    """Deploys "two" and is killed when this step begins."""

    def tell(event: Event) -> None:
        if (
            isinstance(event, StepBegun)
            and type(event.step).__name__ == step
            and event.step.host == host
        ):
            fleet.faults.append(Fault(host, 1, FaultKind.KILLED))

    with pytest.raises(Killed):
        deploy(request(fleet, "two"), context(fleet), tell)
    fleet.revive()


def app(fleet: Fleet) -> dict[str, object]:
    return status(fleet.environment(), fleet.hosts, [factories.service()])[0]


def hosts(fleet: Fleet, key: str) -> list[object]:
    found = app(fleet)["hosts"]
    assert isinstance(found, list)
    return [host[key] for host in found]


def test_all_as_wanted() -> None:
    fleet = live_fleet()
    found = app(fleet)
    assert (found["release"], found["image"]) == (ONE, factories.image("one"))
    assert found["replicas"] == {"wanted": 6, "ready": 6}
    assert (found["drift"], found["lock"], found["candidate"]) == ([], None, None)
    assert hosts(fleet, "phase") == ["live", "live"]


def test_a_bare_fleet() -> None:
    fleet = Fleet.of("host-1")
    assert (app(fleet)["release"], hosts(fleet, "phase")) == (None, ["empty"])


def test_a_mixed_fleet_has_no_release() -> None:
    fleet = live_fleet()
    killed_at(fleet, "PointTraffic", "host-2")
    assert app(fleet)["release"] is None
    assert hosts(fleet, "release") == [TWO, ONE]
    assert hosts(fleet, "phase") == ["draining", "candidate"]
    assert app(fleet)["candidate"] == TWO
    assert f"the fleet is mixed: host-1 serves {TWO}, host-2 serves {ONE}" in str(
        app(fleet)["drift"]
    )


def test_a_host_out_of_reach_and_who_holds_the_lock() -> None:
    fleet = live_fleet()
    fleet["host-1"].locked_by = "somebody"
    fleet["host-1"].files[locks.HOLDER] = b'{"who": "ada", "since": "09:00"}\n'
    fleet.gone.add("host-2")
    found = app(fleet)
    assert found["lock"] == {"who": "ada", "since": "09:00"}
    assert hosts(fleet, "phase") == ["live", "unreachable"]
    assert found["drift"] == ["host-2: the connection was lost"]


def test_what_drifted_is_named() -> None:
    fleet = live_fleet()
    containers = fleet["host-1"].engine.containers
    del containers["app-r000001-1"]
    containers["app-r000001-2"].behaviour = ContainerBehaviour(dies_after_s=0)
    for stack in ("edge", "watchdog"):
        (found,) = (name for name in containers if stack in name)
        del containers[found]
    files = fleet["host-2"].files
    (record,) = (name for name in files if name.endswith(f"/{ONE}/release.json"))
    del files[record]
    assert app(fleet)["drift"] == [
        "host-1: no edge runs",
        "host-1: no watchdog runs",
        "host-1: app-r000001-1 is missing",
        "host-1: app-r000001-2 is exited",
        f"host-2: {ONE} is live and its record is missing",
    ]


def test_a_stack_that_the_watchdog_replaces_is_drift_only_beside_it() -> None:
    fleet = live_fleet()
    host = fleet["host-1"]
    (watchdog,) = (c for c in host.engine.containers.values() if "watchdog" in c.name)
    labels = {**watchdog.labels, "py-cicd.name": "keeper"}
    keeper = replace(watchdog, name="keeper", labels=labels)
    host.engine.containers["keeper"] = keeper
    assert app(fleet)["drift"] == ["host-1: the keeper runs beside the watchdog that replaces it"]
    host.engine.remove([watchdog.name])
    assert app(fleet)["drift"] == []


def test_history_tells_how_each_operation_ended() -> None:
    fleet = live_fleet()
    killed_at(fleet, "PointTraffic", "host-2")
    for host in fleet.hosts:
        host.engine.behaviours[factories.image("three")] = ContainerBehaviour(healthy_after_s=None)
    with suppress(ShipError):
        deploy(request(fleet, "three"), context(fleet), lambda event: None)
    told = [(each.entry.release, each.entry.outcome) for each in history(fleet.hosts, "app")]
    assert told == [(ONE, "live"), (TWO, "interrupted"), ("r000003-3f9c2ab", "reverted")]
    assert all(each.hosts == ("host-1", "host-2") for each in history(fleet.hosts, "app"))


def test_logs_come_from_every_replica() -> None:
    fleet = live_fleet()
    found = list(logs(fleet.hosts, "app", since="10m", follow=False))
    assert len({(line.host, line.replica) for line in found}) == 6
    assert all(line.text == f"{line.replica} printed a line" for line in found)


def command(*argv: str, replica: str = "") -> ExecCommand:
    who, when = factories.ORIGIN.who, factories.ORIGIN.when
    return ExecCommand("app", argv, " ".join(argv), who, when, replica)


def test_a_command_runs_in_every_live_replica_with_its_own_end() -> None:
    fleet = live_fleet()
    fleet["host-2"].engine.containers["app-r000001-2"].behaviour = ContainerBehaviour(
        command_ends_with=3
    )
    found = list(execute(fleet.hosts, command("uptime", "-p")))
    assert len({(each.host, each.replica) for each in found}) == 6
    assert {each.text for each in found if isinstance(each, LogLine)} == {"uptime -p"}
    assert sorted(each.code for each in found if isinstance(each, ExitCode)) == [0, 0, 0, 0, 0, 3]


def test_a_command_runs_in_one_replica_that_is_named_or_is_refused() -> None:
    fleet = live_fleet()
    found = list(execute(fleet.hosts, command("id", replica="app-r000001-2")))
    assert {each.replica for each in found} == {"app-r000001-2"}
    with pytest.raises(UsageError, match="app has no replica app-9 that runs") as caught:
        list(execute(fleet.hosts, command("id", replica="app-9")))
    assert "app-r000001-1" in caught.value.hint
