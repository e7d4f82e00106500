"""Deploys to simulated hosts: what goes live, what is reported, what is left."""

from __future__ import annotations

import _thread
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from deploy.core.commands import locks, paths
from deploy.core.commands.docker import PULL_DEADLINE_S
from deploy.core.planning.steps import name_of
from deploy.core.state.ledger import parse_ledger
from deploy.errors import (
    HostUnreachableError,
    LockedError,
    PreflightError,
    RegistryAuthError,
    ShipError,
)
from deploy.run.hosts.locking import refuse_if_locked
from deploy.run.repair import repair
from deploy.run.rollout.deploy import (
    RevertedError,
    StuckError,
    plan,
)
from deploy.run.rollout.events import (
    Event,
    Message,
    PlanMade,
    StepBegun,
    StepDone,
    StepFailed,
)
from deploy.run.rollout.rollout_fixture import (
    ONE,
    THREE,
    TWO,
    context,
    deploy_command,
    live_fleet,
    run_deploy,
)
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import Fault, FaultKind
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import MemoryHost
from deploy.testing.fleet.nginx import Nginx


def behaves(fleet: Fleet, label: str, behaviour: ContainerBehaviour) -> None:
    for host in fleet.hosts:
        host.engine.behaviours[factories.image(label)] = behaviour


def replicas(host: MemoryHost) -> list[str]:
    return sorted(c.name for c in host.engine.containers.values() if c.has_check)


def outcomes(host: MemoryHost) -> list[tuple[str, str]]:
    entries = parse_ledger(host.files[locks.LEDGER].decode())
    return [(entry.release, entry.outcome) for entry in entries if entry.event == "ended"]


def test_first_deploy_goes_live() -> None:
    fleet = Fleet.of("host-1")
    result = run_deploy(fleet, deploy_command(fleet, "one"))
    assert (result.outcome, result.release, result.previous) == ("live", ONE, None)
    assert fleet.served() == [ONE]
    assert replicas(fleet["host-1"]) == [f"app-r000001-{number}" for number in (1, 2, 3)]
    assert outcomes(fleet["host-1"]) == [(ONE, "live")]


def test_deploy_of_the_live_release_changes_nothing() -> None:
    fleet = live_fleet("host-1", "host-2")
    before = [dict(host.files) for host in fleet.hosts]
    events: list[Event] = []
    result = run_deploy(fleet, deploy_command(fleet, "one"), events.append)
    assert (result.outcome, result.release) == ("unchanged", ONE)
    for host, files in zip(fleet.hosts, before, strict=True):
        changed = {path for path in host.files if host.files[path] != files.get(path)}
        assert changed <= {locks.TOKEN, locks.HOLDER}
    assert events == []


def test_second_deploy_replaces_the_first_and_keeps_it_for_a_rollback() -> None:
    fleet = live_fleet("host-1", "host-2")
    result = run_deploy(fleet, deploy_command(fleet, "two"))
    assert (result.release, result.previous) == (TWO, ONE)
    assert fleet.served() == [TWO, TWO]
    for host in fleet.hosts:
        assert replicas(host) == [f"app-r000002-{number}" for number in (1, 2, 3)]
        assert host.folders("app") == {ONE, TWO}
        assert factories.image("one") in host.engine.images


def test_other_configuration_is_another_release_of_the_same_image() -> None:
    fleet = live_fleet()
    green = deploy_command(fleet, "one", factories.service(color="green"))
    assert run_deploy(fleet, green).release == TWO
    assert run_deploy(fleet, green).outcome == "unchanged"


@pytest.mark.parametrize("count", [1, 2, 5, 63])
def test_another_number_of_replicas_keeps_the_release_serving(count: int) -> None:
    fleet = live_fleet()
    run_deploy(fleet, deploy_command(fleet, "one", factories.service(replicas=count)))
    assert len(replicas(fleet["host-1"])) == count
    assert fleet.served() == [ONE]


def test_old_releases_and_the_images_that_only_they_used_are_removed() -> None:
    fleet = live_fleet()
    for label in ("two", "three", "two"):
        command = deploy_command(fleet, label, factories.service(color=label))
        run_deploy(fleet, command, keep_releases=2)
    host = fleet["host-1"]
    assert host.folders("app") == {THREE, "r000004-3f9c2ab"}
    assert factories.image("one") not in host.engine.images
    assert factories.image("two") in host.engine.images


def test_services_share_the_edge_without_affecting_each_other() -> None:
    fleet = live_fleet()
    shop = deploy_command(fleet, "shop", factories.service("shop", path="/shop"))
    named = deploy_command(fleet, "named", factories.service("named", host="named.example"))
    run_deploy(fleet, shop)
    run_deploy(fleet, named)
    run_deploy(fleet, deploy_command(fleet, "two"))
    assert fleet.served("/") == ["r000004-3f9c2ab"]
    assert fleet.served("/shop/cart") == [TWO]
    assert fleet.served("/", "named.example") == [THREE]
    for command in (shop, named, deploy_command(fleet, "two")):
        assert run_deploy(fleet, command).outcome == "unchanged"


def test_second_service_on_the_same_path_is_refused_and_the_first_keeps_serving() -> None:
    fleet = live_fleet()
    with pytest.raises(RevertedError, match="nginx refused"):
        run_deploy(fleet, deploy_command(fleet, "rival", factories.service("rival")))
    assert fleet.served() == [ONE]
    assert fleet["host-1"].folders("rival") == set()


def test_new_host_gets_the_live_release_and_the_old_host_only_a_record() -> None:
    fleet = live_fleet("host-1")
    fleet.add("host-2")
    steps = plan(deploy_command(fleet, "one"), context(fleet)).steps
    assert {name_of(step) for step in steps if step.host == "host-1"} == {"RecordLive"}
    assert run_deploy(fleet, deploy_command(fleet, "one")).release == ONE
    assert fleet.served() == [ONE, ONE]
    assert run_deploy(fleet, deploy_command(fleet, "one")).outcome == "unchanged"


def test_new_host_that_fails_is_cleared_and_the_old_host_unchanged() -> None:
    fleet = live_fleet("host-1")
    fleet.add("host-2").pull_refused = True
    for label in ("one", "two"):
        with pytest.raises(RevertedError):
            run_deploy(fleet, deploy_command(fleet, label))
        assert fleet.served() == [ONE, ""]
        assert [host.folders("app") for host in fleet.hosts] == [{ONE}, set()]


# Candidates that don't become healthy, or answer as another release.


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (
            ContainerBehaviour(healthy_after_s=None),
            "did not become healthy within 20 s of its start",
        ),
        (
            ContainerBehaviour(crashes_after_s=0.8),
            r"crashing \(it exited with code 3 after 0\.4 s\): .*last line",
        ),
        (
            ContainerBehaviour(dies_after_s=0.5),
            r"crashing \(it exited with code 3 after 0\.4 s\): .*last line",
        ),
        (ContainerBehaviour(answers_as=ONE), "did not answer as r000002"),
        (ContainerBehaviour(fails_every=2), r"did not answer as r000002-3f9c2ab \(last: HTTP 500"),
        (
            ContainerBehaviour(fails_at="/readyz"),
            r"last: HTTP 500 at /readyz\)\n.*\n.*\n  log: .* printed its last",
        ),
    ],
)
def test_bad_candidate_never_gets_traffic(behaviour: ContainerBehaviour, message: str) -> None:
    fleet = live_fleet("host-1", "host-2")
    behaves(fleet, "two", behaviour)
    with pytest.raises(RevertedError, match=message) as failure:
        run_deploy(fleet, deploy_command(fleet, "two"))
    assert (failure.value.exit_code, failure.value.result.previous) == (1, ONE)
    assert failure.value.message.startswith(f"rolled back to {ONE}: ")
    assert fleet.served() == [ONE, ONE]
    for host in fleet.hosts:
        assert replicas(host) == [f"app-r000001-{number}" for number in (1, 2, 3)]
        assert host.folders("app") == {ONE}
        assert outcomes(host)[-1] == (TWO, "reverted")


def test_unhealthy_first_release_leaves_an_edge_that_answers_503() -> None:
    fleet = Fleet.of("host-1")
    behaves(fleet, "one", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(RevertedError, match="nothing is live and the edge answers 503"):
        run_deploy(fleet, deploy_command(fleet, "one"))
    assert replicas(fleet["host-1"]) == []
    assert fleet.get("http://host-1.test/").status == 503


def test_error_about_an_unhealthy_replica_has_its_health_check_and_last_log_line() -> None:
    fleet = Fleet.of("host-1")
    behaves(fleet, "one", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(RevertedError) as failure:
        run_deploy(fleet, deploy_command(fleet, "one"))
    assert "health check: GET /readyz: HTTP 503" in failure.value.message
    assert "log: app-r000001-1 printed its last line" in failure.value.message


def test_error_about_a_crash_has_the_exception_and_the_command() -> None:
    fleet = Fleet.of("host-1")
    site = "/opt/app/lib/python3.13/site-packages"
    logs = f"""Traceback (most recent call last):
  File "{site}/gunicorn/util.py", line 370, in import_app
    app = app(*args)
  File "{site}/app/web.py", line 30, in create_app
    connect(database)
ConnectionError: no route to db
"""
    behaves(fleet, "one", ContainerBehaviour(crashes_after_s=0.8, logs=logs))
    with pytest.raises(RevertedError) as failure:
        run_deploy(fleet, deploy_command(fleet, "one"))
    head, *details = failure.value.message.splitlines()
    assert head.endswith("(it exited with code 3 after 0.4 s): ConnectionError: no route to db")
    assert "  exception: ConnectionError: no route to db" in details
    assert "    app/web.py:30 in create_app: connect(database)" in details
    assert "  started as: gunicorn 'app.web:create_app()'" in details
    assert not any("gunicorn/util.py" in line for line in details if "log:" not in line)
    assert failure.value.hint == (
        f"fix the error above, then ./ship deploy app; ./ship logs app --release {ONE} has its logs"
    )


def test_healthy_replicas_behind_a_wrong_url_are_told_apart_from_broken_ones() -> None:
    fleet = Fleet.of("host-1")
    fleet.away.add("host-1")
    with pytest.raises(RevertedError) as failure:
        run_deploy(fleet, deploy_command(fleet, "one"))
    assert "the replicas are healthy, but nothing answers at http://host-1.test" in str(
        failure.value
    )
    assert "check `url` of host-1 in the environment file" in failure.value.hint
    assert "log:" not in failure.value.message


def test_wrong_url_of_a_live_service_needs_a_person_and_names_the_url() -> None:
    fleet = live_fleet()
    fleet.away.add("host-1")
    with pytest.raises(StuckError) as failure:
        run_deploy(fleet, deploy_command(fleet, "two"))
    assert fleet.served() == [ONE]
    assert failure.value.hint.startswith("check `url` of host-1 in the environment file")
    assert "./ship status app" in failure.value.hint


def test_failed_candidate_is_a_new_release_when_it_is_deployed_again() -> None:
    fleet = live_fleet()
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(RevertedError):
        run_deploy(fleet, deploy_command(fleet, "two"))
    fleet["host-1"].engine.behaviours.clear()
    assert run_deploy(fleet, deploy_command(fleet, "two")).release == THREE


def test_replicas_that_fail_after_all_hosts_switched_revert_all_hosts() -> None:
    fleet = live_fleet("host-1", "host-2")

    def stop_serving() -> None:
        fleet.watched = False  # this is about replicas that stop under traffic
        for each in fleet["host-2"].engine.containers.values():
            if each.image == factories.image("two"):
                each.behaviour = ContainerBehaviour(dies_after_s=0)

    listener = at("VerifyOutside", "host-2", stop_serving)
    with pytest.raises(RevertedError, match="did not answer as r000002"):
        run_deploy(fleet, deploy_command(fleet, "two"), listener)
    assert fleet.served() == [ONE, ONE]


# Live releases that are degraded.


def test_missing_replica_is_started_again() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet.watched = False
    del fleet["host-2"].engine.containers["app-r000001-2"]
    result = run_deploy(fleet, deploy_command(fleet, "one"))
    assert (result.release, result.outcome) == (ONE, "live")
    assert len(replicas(fleet["host-2"])) == 3
    assert outcomes(fleet["host-2"]) == [(ONE, "live"), (ONE, "live")]


def test_replica_that_will_not_recover_is_replaced() -> None:
    fleet = live_fleet()
    fleet.watched = False
    host = fleet["host-1"]
    host.engine.containers["app-r000001-2"].behaviour = ContainerBehaviour(dies_after_s=0)
    host.engine.containers["app-r000001-3"].behaviour = ContainerBehaviour(healthy_after_s=None)
    fleet.clock.sleep(60)
    steps = plan(deploy_command(fleet, "one"), context(fleet)).lines()
    assert "  host-1: remove unhealthy app-r000001-2 app-r000001-3 (exited, unhealthy)" in steps
    run_deploy(fleet, deploy_command(fleet, "one"))
    now_s = fleet.clock.monotonic()
    assert all(c.serves(now_s) for c in host.engine.containers.values())


def test_restart_of_long_ago_does_not_count_as_a_crash() -> None:
    fleet = live_fleet()
    fleet.watched = False
    engine = fleet["host-1"].engine
    engine.containers["app-r000001-1"].restarted = 4
    del engine.containers["app-r000001-2"]
    assert run_deploy(fleet, deploy_command(fleet, "one")).outcome == "live"


def test_live_release_that_cannot_be_repaired_keeps_serving() -> None:
    fleet = live_fleet()
    fleet.watched = False
    del fleet["host-1"].engine.containers["app-r000001-2"]
    behaves(fleet, "one", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(RevertedError, match=f"{ONE} could not be repaired and serves as before"):
        run_deploy(fleet, deploy_command(fleet, "one"))
    assert fleet.served() == [ONE]


def test_failed_candidate_is_removed_although_the_live_release_is_degraded() -> None:
    fleet = live_fleet()
    fleet.watched = False
    del fleet["host-1"].engine.containers["app-r000001-2"]
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(RevertedError):
        run_deploy(fleet, deploy_command(fleet, "two"))
    assert replicas(fleet["host-1"]) == ["app-r000001-1", "app-r000001-3"]


# Refusals.


def test_refused_pull_or_login_is_reported_and_reverted() -> None:
    fleet = live_fleet("host-1", "host-2")
    command = deploy_command(fleet, "two")
    fleet["host-2"].login_refused = True
    with pytest.raises(
        RevertedError,
        match=r"host-2: the registry login failed: .* refused the login \(401\): unauth",
    ) as error:
        run_deploy(fleet, command)
    assert isinstance(error.value.__cause__, RegistryAuthError)
    fleet["host-2"].login_refused = False
    fleet.images.discard(command.image)
    fleet["host-1"].engine.images.discard(command.image)
    with pytest.raises(
        RevertedError, match=r"pulling failed: .* doesn't have it \(404\): manifest for"
    ):
        run_deploy(fleet, command)
    assert [host.folders("app") for host in fleet.hosts] == [{ONE}, {ONE}]


def nginx_of(fleet: Fleet, name: str) -> Nginx:
    return fleet[name].nginx


def at(step: str, host: str, act: Callable[[], None]) -> Callable[[Event], None]:
    """Returns a listener that calls `act` when this step first begins on this host."""
    done: list[bool] = []

    def listen(event: Event) -> None:
        begins = isinstance(event, StepBegun) and (name_of(event.step), event.step.host)
        if begins == (step, host) and not done:
            done.append(True)
            act()

    return listen


def test_configuration_that_nginx_refuses_changes_nothing() -> None:
    fleet = live_fleet("host-1", "host-2")
    nginx_of(fleet, "host-2").refuses = True
    before = dict(fleet["host-2"].files)
    with pytest.raises(RevertedError, match="host-2: nginx refused the edge's new configuration"):
        run_deploy(fleet, deploy_command(fleet, "two"))
    assert fleet["host-2"].files[paths.ROUTES] == before[paths.ROUTES]
    assert fleet.served() == [ONE, ONE]


def test_reload_that_nginx_ignores_is_reverted() -> None:
    fleet = live_fleet("host-1", "host-2")
    nginx_of(fleet, "host-2").deaf = True
    with pytest.raises(RevertedError, match="did not load its new configuration in 15 s"):
        run_deploy(fleet, deploy_command(fleet, "two"))
    assert fleet.served() == [ONE, ONE]
    assert [replicas(host)[0] for host in fleet.hosts] == ["app-r000001-1"] * 2


def test_edge_that_ignores_every_reload_is_stuck() -> None:
    fleet = live_fleet("host-1", "host-2")
    stops_reloading = at(
        "PointTraffic", "host-2", lambda: setattr(nginx_of(fleet, "host-2"), "deaf", True)
    )
    with pytest.raises(
        StuckError, match="host-2: the edge did not load its new configuration"
    ) as error:
        run_deploy(fleet, deploy_command(fleet, "two"), stops_reloading)
    assert error.value.exit_code == 4
    assert fleet.served() == [ONE, ONE]
    assert replicas(fleet["host-1"]) == [f"app-r000001-{number}" for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("fact", "value", "message"),
    [
        ("disk_free_bytes", 300_000_000, "300 MB of disk are free"),
        ("version", "20.10.24", "its Docker engine 20.10.24 is older than 26"),
        ("compose_version", "2.3.3", "its docker compose 2.3.3 is older than 2.26"),
    ],
)
def test_unfit_host_stops_a_deploy_before_anything_is_changed(
    fact: str, value: object, message: str
) -> None:
    fleet = live_fleet("host-1", "host-2")
    setattr(fleet["host-2"].engine, fact, value)
    before = dict(fleet["host-1"].files)
    with pytest.raises(PreflightError, match=f"host-2: {message}"):
        run_deploy(fleet, deploy_command(fleet, "two"))
    changed = {path for path, text in fleet["host-1"].files.items() if before.get(path) != text}
    assert changed <= {locks.TOKEN, locks.HOLDER}


def test_unreachable_host_stops_a_deploy_before_anything_is_changed() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet.gone.add("host-2")
    before = dict(fleet["host-1"].files)
    with pytest.raises(HostUnreachableError):
        run_deploy(fleet, deploy_command(fleet, "two"))
    changed = {path for path, text in fleet["host-1"].files.items() if before.get(path) != text}
    assert changed <= {locks.TOKEN, locks.HOLDER}
    assert fleet["host-1"].locked_by == ""


# The lock.


def test_concurrent_deploy_is_refused_and_the_error_says_who_holds_the_lock_since_when() -> None:
    fleet = live_fleet("host-1", "host-2")
    refusals: list[ShipError] = []

    def deploy_as_well() -> None:
        with pytest.raises(LockedError) as error:
            run_deploy(fleet, deploy_command(fleet, "three"))
        refusals.append(error.value)

    listen = at("PullImages", "host-2", deploy_as_well)
    run_deploy(
        fleet, replace(deploy_command(fleet, "two"), pipeline="https://ci.example/42"), listen
    )
    assert fleet.served() == [TWO, TWO]
    assert refusals[0].exit_code == 3
    assert "locked by ada since 2026-11-02T09:00:" in refusals[0].message
    assert "pipeline https://ci.example/42" in refusals[0].message


def test_locks_are_taken_on_all_hosts_or_on_none() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet["host-2"].locked_by = "another"
    with pytest.raises(LockedError, match="host-2"):
        run_deploy(fleet, deploy_command(fleet, "two"))
    assert fleet["host-1"].locked_by == ""


def test_check_of_the_lock_before_a_long_build_takes_no_lock() -> None:
    fleet = live_fleet("host-1", "host-2")
    refuse_if_locked(fleet.hosts)
    assert [host.locked_by for host in fleet.hosts] == ["", ""]
    fleet["host-2"].locked_by = "another"
    with pytest.raises(LockedError, match="host-2: locked by") as error:
        refuse_if_locked(fleet.hosts)
    assert error.value.exit_code == 3
    fleet.gone.add("host-1")
    with pytest.raises(ShipError, match="host-1"):
        refuse_if_locked(fleet.hosts)


def test_command_of_a_dead_deployer_is_waited_for() -> None:
    fleet = live_fleet()
    fleet["host-1"].stragglers = True
    begun, messages = fleet.clock.monotonic(), list[str]()

    def listen(event: Event) -> None:
        if isinstance(event, Message) and event.text.startswith("waiting: "):
            messages.append(event.text)

    def end_in_time(host: MemoryHost) -> None:
        if fleet.clock.monotonic() - begun > PULL_DEADLINE_S:
            host.stragglers = False

    fleet.after_call = end_in_time
    assert run_deploy(fleet, deploy_command(fleet, "two"), listen).release == TWO
    assert messages == [
        "waiting: host-1: a command of a dead deployer is still running; nothing was changed"
    ]


def test_command_that_never_ends_is_reported_and_a_faster_deployer_is_not_waited_for() -> None:
    fleet = live_fleet()
    fleet["host-1"].stragglers = True
    begun = fleet.clock.monotonic()
    with pytest.raises(LockedError, match="a dead deployer is still running"):
        run_deploy(fleet, deploy_command(fleet, "two"))
    assert fleet.clock.monotonic() - begun > PULL_DEADLINE_S

    def come_first(event: Event) -> None:
        if isinstance(event, Message):
            fleet["host-1"].locked_by = "another"

    with pytest.raises(LockedError, match="locked by"):
        run_deploy(fleet, deploy_command(fleet, "two"), come_first)


def test_deployer_that_lost_the_lock_changes_and_reverts_nothing() -> None:
    fleet = live_fleet("host-1", "host-2")
    files: list[dict[str, bytes]] = []

    def lose() -> None:
        for host in fleet.hosts:
            host.locked_by, host.files[locks.TOKEN] = "another", b"another"
            files.append(dict(host.files))

    listen = at("PointTraffic", "host-1", lose)
    with pytest.raises(LockedError, match="another deploy took the lock") as error:
        run_deploy(fleet, deploy_command(fleet, "two"), listen)
    assert error.value.exit_code == 3
    assert [host.files for host in fleet.hosts] == files
    assert [host.locked_by for host in fleet.hosts] == ["another", "another"]


# Lost and damaged records.


def test_torn_ledger_line_hides_no_later_one() -> None:
    fleet = live_fleet()
    host = fleet["host-1"]
    host.files[locks.LEDGER] += b'{"turn": 7, "wh'
    run_deploy(fleet, deploy_command(fleet, "two"))
    assert outcomes(host) == [(ONE, "live"), (TWO, "live")]


def test_sequences_stay_unique_after_the_ledger_is_lost() -> None:
    fleet = live_fleet()
    del fleet["host-1"].files[locks.LEDGER]
    (host,) = fleet.hosts
    repair(host, factories.EDGE, who="ada", pipeline="", clock=fleet.clock, say=print)
    assert run_deploy(fleet, deploy_command(fleet, "two")).release == TWO


def test_live_release_without_a_record_is_never_removed() -> None:
    fleet = live_fleet()
    host = fleet["host-1"]
    del host.files[f"{paths.release_folder('app', ONE)}/release.json"]
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(StuckError, match="no host has the record of r000001"):
        run_deploy(fleet, deploy_command(fleet, "two"))
    assert fleet.served() == [ONE]


def test_revert_restores_the_old_route() -> None:
    fleet = live_fleet()
    fleet.must_serve.clear()  # whether anything answers at / depends on the route
    failing = Fault("host-1", 1, FaultKind.FAILS)

    def listen(event: Event) -> None:
        at("VerifyOutside", "host-1", lambda: fleet.faults.append(failing))(event)
        failing.armed = failing.armed and not isinstance(event, StepFailed)

    with pytest.raises(RevertedError):
        run_deploy(fleet, deploy_command(fleet, "two", factories.service(path="/new")), listen)
    assert (fleet.served("/"), fleet.served("/new")) == ([ONE], [ONE])


def test_ledger_that_cannot_be_written_at_the_end_is_reported_and_changes_no_outcome() -> None:
    fleet = live_fleet("host-1", "host-2")
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=None))
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        made = [event for event in events if isinstance(event, PlanMade)]
        last = made[-1].plan.steps[-1] if len(made) == 2 else None
        if isinstance(event, StepDone) and last and event.step == last:
            fleet.faults.append(Fault(event.step.host, 1, FaultKind.FAILS))

    with pytest.raises(RevertedError):
        run_deploy(fleet, deploy_command(fleet, "two"), listen)
    assert [event.host for event in events if isinstance(event, Message)] == ["host-2"]


# An interrupt.


class RealClock:
    """The machine's clock, for tests of how long something takes."""

    def now(self) -> str:
        return "2026-11-02T09:00:00+00:00"

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Handles SIGINT as on a terminal, even if the tests were started by `nohup` or with `&`, which ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("step", ["AwaitHealthy", "PointTraffic"])
@pytest.mark.usefixtures("ctrl_c")
def test_interrupt_reverts_the_deploy_at_once(step: str) -> None:
    fleet = Fleet.of("host-1", "host-2", clock=RealClock())
    for host in fleet.hosts:
        host.edge_lingers_s = 0
    behaves(fleet, "one", ContainerBehaviour(healthy_after_s=0))
    run_deploy(fleet, deploy_command(fleet, "one"))
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=60 if step == "AwaitHealthy" else 0))
    begun = time.monotonic()
    listen = at(step, "host-1", _thread.interrupt_main)
    with pytest.raises(RevertedError, match="interrupted"):
        run_deploy(fleet, deploy_command(fleet, "two"), listen)
    assert time.monotonic() - begun < 10  # AwaitHealthy alone would wait 20 s
    assert fleet.served() == [ONE, ONE]
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=0))
    assert run_deploy(fleet, deploy_command(fleet, "two")).release == THREE
