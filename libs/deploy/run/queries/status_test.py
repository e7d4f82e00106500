"""Status, history, logs and commands of simulated hosts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from deploy.core.commands import locks, paths
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
from deploy.run.rollout.deploy import deploy
from deploy.run.rollout.rollout_fixture import (
    ONE,
    TWO,
    context,
    deploy_command,
    fault_at,
    live_fleet,
    quiet,
)
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import (
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet


def killed_at(fleet: Fleet, step: str, host: str) -> None:
    """Deploys "two" and is killed when this step begins."""

    kill = fault_at(fleet, step, host, FaultKind.KILLED)
    with pytest.raises(Killed):
        deploy(deploy_command(fleet, "two"), context(fleet), kill)
    fleet.revive()


def app(fleet: Fleet) -> dict[str, object]:
    return status(fleet.environment(), fleet.hosts, [factories.service()])[0]


def hosts(fleet: Fleet, key: str) -> list[object]:
    found = app(fleet)["hosts"]
    assert isinstance(found, list)
    return [host[key] for host in found]


def test_status_of_a_fleet_without_drift() -> None:
    fleet = live_fleet("host-1", "host-2")
    found = app(fleet)
    assert (found["release"], found["image"]) == (ONE, factories.image("one"))
    assert found["replicas"] == {"wanted": 6, "ready": 6}
    assert (found["drift"], found["lock"], found["candidate"]) == ([], None, None)
    assert hosts(fleet, "phase") == ["live", "live"]


def test_status_of_a_bare_fleet() -> None:
    fleet = Fleet.of("host-1")
    assert (app(fleet)["release"], hosts(fleet, "phase")) == (None, ["empty"])


def test_a_mixed_fleet_has_no_live_release() -> None:
    fleet = live_fleet("host-1", "host-2")
    killed_at(fleet, "PointTraffic", "host-2")
    assert app(fleet)["release"] is None
    assert hosts(fleet, "release") == [TWO, ONE]
    assert hosts(fleet, "phase") == ["draining", "candidate"]
    assert app(fleet)["candidate"] == TWO
    assert f"the fleet is mixed: host-1 serves {TWO}, host-2 serves {ONE}" in str(
        app(fleet)["drift"]
    )


def test_status_names_unreachable_hosts_and_the_holder_of_the_lock() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet["host-1"].locked_by = "somebody"
    fleet["host-1"].files[locks.HOLDER] = b'{"who": "ada", "since": "09:00"}\n'
    fleet.gone.add("host-2")
    found = app(fleet)
    assert found["lock"] == {"who": "ada", "since": "09:00"}
    assert hosts(fleet, "phase") == ["live", "unreachable"]
    assert found["drift"] == ["host-2: the connection was lost"]


def test_a_host_that_does_not_answer_does_not_hide_what_the_others_serve() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet.gone.add("host-2")
    found = app(fleet)
    assert (found["release"], found["image"]) == (ONE, factories.image("one"))
    assert found["summary"] == f"{ONE} live on host-1; host-2 unreachable (the connection was lost)"


def test_the_summary_says_which_hosts_serve_what() -> None:
    assert app(live_fleet("host-1", "host-2"))["summary"] == f"{ONE} live on host-1, host-2"
    assert app(Fleet.of("host-1"))["summary"] == "nothing live on host-1"
    many = live_fleet(*(f"host-{number}" for number in range(1, 6)))
    assert app(many)["summary"] == f"{ONE} live on 5 hosts"


def test_status_names_all_drift() -> None:
    fleet = live_fleet("host-1", "host-2")
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


def test_a_host_with_damaged_records_is_damaged_and_not_empty() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet["host-2"].files[paths.ROUTES] = b"# py-cicd edge: {\n"
    assert hosts(fleet, "phase") == ["live", "damaged"]
    drift = app(fleet)["drift"]
    assert isinstance(drift, list)
    assert drift[0].startswith("host-2: its records are damaged: the edge's state")


def test_a_stack_that_the_watchdog_replaces_is_drift_only_beside_it() -> None:
    fleet = live_fleet("host-1", "host-2")
    host = fleet["host-1"]
    (watchdog,) = (c for c in host.engine.containers.values() if "watchdog" in c.name)
    labels = {**watchdog.labels, "py-cicd.name": "keeper"}
    keeper = replace(watchdog, name="keeper", labels=labels)
    host.engine.containers["keeper"] = keeper
    assert app(fleet)["drift"] == ["host-1: the keeper runs beside the watchdog that replaces it"]
    host.engine.remove([watchdog.name])
    assert app(fleet)["drift"] == []


def test_history_has_the_outcome_of_each_operation() -> None:
    fleet = live_fleet("host-1", "host-2")
    killed_at(fleet, "PointTraffic", "host-2")
    for host in fleet.hosts:
        host.engine.behaviours[factories.image("three")] = ContainerBehaviour(healthy_after_s=None)
    with suppress(ShipError):
        deploy(deploy_command(fleet, "three"), context(fleet), quiet)
    outcomes = [(each.entry.release, each.entry.outcome) for each in history(fleet.hosts, "app")]
    assert outcomes == [(ONE, "live"), (TWO, "interrupted"), ("r000003-3f9c2ab", "reverted")]
    assert all(each.hosts == ("host-1", "host-2") for each in history(fleet.hosts, "app"))


def test_logs_come_from_every_replica() -> None:
    fleet = live_fleet("host-1", "host-2")
    found = list(logs(fleet.hosts, "app", since="10m", follow=False))
    assert len({(line.host, line.replica) for line in found}) == 6
    assert all(line.text == f"{line.replica} printed a line" for line in found)


def command(*argv: str, replica: str | None = None) -> ExecCommand:
    who, when = factories.ORIGIN.who, factories.ORIGIN.when
    return ExecCommand("app", argv, " ".join(argv), who, when, replica)


def test_a_command_runs_in_every_live_replica_and_returns_each_exit_code() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet["host-2"].engine.containers["app-r000001-2"].behaviour = ContainerBehaviour(
        command_ends_with=3
    )
    found = list(execute(fleet.hosts, command("uptime", "-p")))
    assert len({(each.host, each.replica) for each in found}) == 6
    assert {each.text for each in found if isinstance(each, LogLine)} == {"uptime -p"}
    assert sorted(each.code for each in found if isinstance(each, ExitCode)) == [0, 0, 0, 0, 0, 3]


def test_a_command_runs_in_one_named_replica_and_an_unknown_name_is_refused() -> None:
    fleet = live_fleet("host-1", "host-2")
    found = list(execute(fleet.hosts, command("id", replica="app-r000001-2")))
    assert {each.replica for each in found} == {"app-r000001-2"}
    with pytest.raises(UsageError, match="app has no running replica app-9") as caught:
        list(execute(fleet.hosts, command("id", replica="app-9")))
    assert "app-r000001-1" in caught.value.hint
