"""The logs of replicas that are removed because a release failed: kept on their host, and read from there."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from deploy.adapters.report_page import render_page
from deploy.core.commands import kept_logs, locks, paths
from deploy.core.config import Gate, SecretRef
from deploy.core.planning.requests import RollbackCommand
from deploy.core.planning.steps import KeepLogs
from deploy.core.reports.page import page_of
from deploy.core.reports.rollout_log import parse_rollout_log
from deploy.core.state.ledger import parse_ledger
from deploy.core.state.redaction import Redaction
from deploy.core.state.release import parse_release
from deploy.errors import LockedError, ShipError
from deploy.run.queries.kept_logs import kept_lines, releases_with_logs
from deploy.run.queries.logs import logs
from deploy.run.queries.report import gather
from deploy.run.rollout.deploy import RevertedError, StuckError, deploy, rollback
from deploy.run.rollout.events import Event, Listener, Message, StepBegun, StepDone
from deploy.run.rollout.rollout_fixture import (
    ONE,
    TWO,
    context,
    deploy_command,
    live_fleet,
    quiet,
    run_deploy,
)
from deploy.run.steps.secrets import SecretResolver
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import Fault, FaultKind, Killed
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.servers.secret_stores import MemoryStore

SERVICE = factories.service(replicas=2)
SITE = "/opt/app/lib/python3.13/site-packages"
TRACEBACK = f"""Traceback (most recent call last):
  File "{SITE}/app/web.py", line 30, in create_app
    connect(database)
ConnectionError: no route to db
"""
CRASHES = ContainerBehaviour(crashes_after_s=0.8, logs=TRACEBACK)
FOLDER = paths.kept_logs("app")


def crashing(fleet: Fleet, label: str = "two") -> None:
    for host in fleet.hosts:
        host.engine.behaviours[factories.image(label, "app")] = CRASHES


def fail(fleet: Fleet, label: str = "two", listen: Listener = quiet) -> RevertedError:
    crashing(fleet, label)
    with pytest.raises(RevertedError) as failure:
        run_deploy(fleet, deploy_command(fleet, label, SERVICE), listen)
    return failure.value


def texts(fleet: Fleet, release: str | None = None) -> list[str]:
    return [line.text for line in kept_lines(fleet.hosts, "app", release, after="")]


def test_logs_and_record_of_a_failed_release_stay_when_its_replicas_are_gone() -> None:
    fleet = live_fleet(service=SERVICE)
    error = fail(fleet)
    assert f"./ship logs app --release {TWO} has its logs" in error.hint
    assert releases_with_logs(fleet.hosts, "app") == {TWO}
    lines = kept_lines(fleet.hosts, "app", TWO, after="")
    assert {(line.host, line.replica) for line in lines} == {
        ("host-1", "app-r000002-1"),
        ("host-1", "app-r000002-2"),
    }
    assert [line.text for line in lines].count("ConnectionError: no route to db") == 2
    host = fleet["host-1"]
    record = parse_release(host.files[f"{FOLDER}/{TWO}/{kept_logs.RECORD}"].decode())
    assert (record.id, record.image) == (TWO, factories.image("two", "app"))
    assert host.folders("app") == {ONE}
    assert record.image not in host.engine.images


def test_running_replicas_are_followed_by_release() -> None:
    fleet = live_fleet(service=SERVICE)
    run_deploy(fleet, deploy_command(fleet, "two", SERVICE, hold=True))
    lines = list(logs(fleet.hosts, "app", TWO, since="0", follow=False))
    assert {(line.replica, line.release) for line in lines} == {
        ("app-r000002-1", TWO),
        ("app-r000002-2", TWO),
    }
    assert len(list(logs(fleet.hosts, "app", since="0", follow=False))) == 2 * len(lines)


def test_release_that_does_not_answer_names_its_logs_too() -> None:
    fleet = live_fleet(service=SERVICE)
    host = fleet["host-1"]
    host.engine.behaviours[factories.image("two", "app")] = ContainerBehaviour(fails_every=2)
    with pytest.raises(RevertedError) as failure:
        run_deploy(fleet, deploy_command(fleet, "two", SERVICE))
    assert "did not answer as" in failure.value.message
    assert f"tries again; ./ship logs app --release {TWO} has its logs" in failure.value.hint


def test_lines_are_filtered_by_release_and_time() -> None:
    fleet = live_fleet(service=SERVICE)
    fail(fleet)
    assert texts(fleet, ONE) == []
    assert kept_lines(fleet.hosts, "app", None, after="2999-01-01") == []
    assert "ConnectionError: no route to db" in texts(fleet)


def test_logs_of_the_last_five_failed_releases_are_kept() -> None:
    fleet = live_fleet(service=SERVICE)
    for number in range(2, 9):
        fail(fleet, f"image-{number}")
    assert releases_with_logs(fleet.hosts, "app") == {f"r00000{n}-3f9c2ab" for n in range(4, 9)}


def test_exception_stands_in_the_report_and_in_the_rollout_log() -> None:
    fleet = live_fleet(service=SERVICE)
    fail(fleet)
    known = gather(fleet.hosts, "app", None, made_at="2026-11-24T05:00:00Z", tool_version="0")
    html = re.sub(r"<svg.*?</svg>", "", render_page(page_of(known.report)), flags=re.DOTALL)
    text = fleet["host-1"].files[f"{paths.rollout_logs('app')}/000002.json"].decode()
    for shown in (html, parse_rollout_log(text).cause):
        assert "exception: ConnectionError: no route to db" in shown
        assert "app/web.py:30 in create_app: connect(database)" in shown
    assert [change.name for change in known.report.changes] == ["image"]


def test_ledger_names_the_exception_of_a_release_that_the_gate_refused() -> None:
    fleet = live_fleet(service=SERVICE)
    for host in fleet.hosts:
        host.engine.behaviours[factories.image("two", "app")] = ContainerBehaviour(
            fails_every=20, logs=TRACEBACK
        )
    with pytest.raises(RevertedError):
        run_deploy(fleet, deploy_command(fleet, "two", replace(SERVICE, gate=Gate())))
    ended = parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
    (why,) = {entry.why for entry in ended if entry.outcome == "reverted"}
    assert "the release gate refused" in why
    assert why.endswith("; the application raised ConnectionError: no route to db")


def test_first_release_that_fails_leaves_its_logs() -> None:
    fleet = Fleet.of("host-1")
    fail(fleet, "one")
    assert releases_with_logs(fleet.hosts, "app") == {ONE}


def test_release_that_a_rollback_replaces_leaves_its_logs_and_a_successor_leaves_none() -> None:
    fleet = live_fleet(service=SERVICE)
    run_deploy(fleet, deploy_command(fleet, "two", SERVICE))
    assert releases_with_logs(fleet.hosts, "app") == frozenset()
    rollback(RollbackCommand(SERVICE, factories.ORIGIN, None), context(fleet), quiet)
    assert releases_with_logs(fleet.hosts, "app") == {TWO}


def test_replaced_unhealthy_replica_of_the_live_release_leaves_its_log() -> None:
    fleet = live_fleet(service=SERVICE)
    fleet.must_serve.clear()
    fleet.watched = False
    container = fleet["host-1"].engine.containers["app-r000001-2"]
    container.behaviour = ContainerBehaviour(dies_after_s=0, logs=TRACEBACK)
    run_deploy(fleet, deploy_command(fleet, "one", SERVICE))
    assert {line.replica for line in kept_lines(fleet.hosts, "app", ONE, after="")} == {
        "app-r000001-2"
    }


def test_secrets_of_the_process_and_of_the_host_are_redacted() -> None:
    fleet = Fleet.of("host-1")
    store = MemoryStore()
    store.put("CI_TOKEN", "token-of-the-day")
    service = replace(SERVICE, secrets={"TOKEN": SecretRef("env", "CI_TOKEN")})
    command = deploy_command(fleet, "one", service)
    fleet["host-1"].engine.behaviours[command.image] = ContainerBehaviour(
        crashes_after_s=0.8, logs="token-of-the-day\nan-older-value\n"
    )

    def rotate(event: Event) -> None:
        """The host has a value that this process never read."""
        if isinstance(event, StepBegun) and isinstance(event.step, KeepLogs):
            files = fleet["host-1"].files
            files[f"{paths.release_folder('app', ONE)}/secrets/files/OLD"] = b"an-older-value"

    secrets = SecretResolver({"env": store}, Redaction())
    with pytest.raises(RevertedError):
        deploy(command, replace(context(fleet), secrets=secrets), rotate)
    kept = b"".join(text for path, text in fleet["host-1"].files.items() if FOLDER in path)
    assert b"***" in kept
    assert b"token-of-the-day" not in kept
    assert b"an-older-value" not in kept


@pytest.mark.parametrize("kind", FaultKind)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", [1, 2])
def test_revert_ends_well_whatever_happens_to_the_logs(
    kind: FaultKind, after: bool, call: int
) -> None:
    fleet = live_fleet("host-1", "host-2", service=SERVICE)
    crashing(fleet)
    messages: list[str] = []
    fault = Fault("host-1", call, kind, after)

    def listen(event: Event) -> None:
        match event:
            case StepBegun(step=KeepLogs(host="host-1")):
                fleet.faults.append(fault)
            case StepDone(step=KeepLogs(host="host-1")):
                fault.armed = False
            case Message(text=text):
                messages.append(text)
            case _:
                pass

    command = deploy_command(fleet, "two", SERVICE)
    with pytest.raises((ShipError, Killed)) as failure:
        deploy(command, context(fleet), listen)
    assert fleet.violations == []
    match kind:
        case FaultKind.GONE | FaultKind.KILLED:
            assert isinstance(failure.value, StuckError | Killed)
        case _:
            assert isinstance(failure.value, RevertedError)
            assert any(f"the logs of {TWO} are not kept" in text for text in messages) or (
                kind is FaultKind.HALF
            )
    fleet.revive()
    result = run_deploy(fleet, deploy_command(fleet, "three", SERVICE))
    assert set(fleet.served()) == {result.release}
    assert all(host.folders("app") == {ONE, result.release} for host in fleet.hosts)


def test_lost_lock_ends_the_revert() -> None:
    fleet = live_fleet(service=SERVICE)
    crashing(fleet)

    def listen(event: Event) -> None:
        if isinstance(event, StepBegun) and isinstance(event.step, KeepLogs):
            fleet["host-1"].files[locks.TOKEN] = b"another"

    with pytest.raises((LockedError, StuckError)) as failure:
        deploy(deploy_command(fleet, "two", SERVICE), context(fleet), listen)
    assert "another deploy took the lock" in str(failure.value)
    assert releases_with_logs(fleet.hosts, "app") == frozenset()
