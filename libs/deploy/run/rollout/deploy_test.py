"""Deploys over simulated hosts: what ends live, what is told, what is left."""

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
from deploy.core.ports import Clock
from deploy.core.state.ledger import parse_ledger
from deploy.errors import (
    HostUnreachableError,
    LockedError,
    PreflightError,
    RegistryAuthError,
    ShipError,
)
from deploy.run.hosts.locking import refuse_if_taken
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    Outcome,
    RevertedError,
    StuckError,
    deploy,
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
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import Fault, FaultKind
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import MemoryHost
from deploy.testing.fleet.nginx import Nginx

ONE, TWO, THREE = (f"r00000{number}-3f9c2ab" for number in (1, 2, 3))


def context(fleet: Fleet, *, keep: int = 5) -> DeployContext:
    environment = fleet.environment(keep_releases=keep)
    return DeployContext(environment, fleet.hosts, fleet.registry, fleet, fleet.clock)


def asking(fleet: Fleet, label: str, **wish: object) -> DeployCommand:
    """Asks for the image of this label, and makes it pullable with what runs beside it."""
    service = factories.service(**wish)  # type: ignore[arg-type]
    reference = factories.image(label, service.name)
    request = DeployCommand(
        service, reference, factories.REPLICA, factories.stacks(), factories.ORIGIN
    )
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    return request


def go(
    fleet: Fleet,
    request: DeployCommand,
    tell: Callable[[Event], None] = lambda event: None,
    *,
    keep: int = 5,
) -> Outcome:
    try:
        return deploy(request, context(fleet, keep=keep), tell)
    finally:
        assert fleet.violations == []
        assert not any(host.locked_by == "ours" for host in fleet.hosts)


def live_fleet(*names: str, clock: Clock | None = None) -> Fleet:
    """Hosts that serve image "one" as r000001."""
    fleet = Fleet.of(*(names or ("host-1",)), clock=clock)
    go(fleet, asking(fleet, "one"))
    fleet.must_serve.update(host.name for host in fleet.hosts)
    return fleet


def behaves(fleet: Fleet, label: str, behaviour: ContainerBehaviour) -> None:
    for host in fleet.hosts:
        host.engine.behaviours[factories.image(label)] = behaviour


def replicas(host: MemoryHost) -> list[str]:
    return sorted(c.name for c in host.engine.containers.values() if c.has_check)


def outcomes(host: MemoryHost) -> list[tuple[str, str]]:
    entries = parse_ledger(host.files[locks.LEDGER].decode())
    return [(entry.release, entry.outcome) for entry in entries if entry.event == "ended"]


def test_a_first_deploy_goes_live() -> None:
    fleet = Fleet.of("host-1")
    outcome = go(fleet, asking(fleet, "one"))
    assert (outcome.outcome, outcome.release, outcome.previous) == ("live", ONE, "")
    assert fleet.served() == [ONE]
    assert replicas(fleet["host-1"]) == [f"app-r000001-{number}" for number in (1, 2, 3)]
    assert outcomes(fleet["host-1"]) == [(ONE, "live")]


def test_the_same_again_changes_nothing() -> None:
    fleet = live_fleet("host-1", "host-2")
    before = [dict(host.files) for host in fleet.hosts]
    told: list[Event] = []
    outcome = go(fleet, asking(fleet, "one"), told.append)
    assert (outcome.outcome, outcome.release) == ("unchanged", ONE)
    for host, files in zip(fleet.hosts, before, strict=True):
        changed = {path for path in host.files if host.files[path] != files.get(path)}
        assert changed <= {locks.TOKEN, locks.HOLDER}
    assert told == []


def test_a_second_deploy_takes_over_and_the_first_is_kept_for_the_way_back() -> None:
    fleet = live_fleet("host-1", "host-2")
    outcome = go(fleet, asking(fleet, "two"))
    assert (outcome.release, outcome.previous) == (TWO, ONE)
    assert fleet.served() == [TWO, TWO]
    for host in fleet.hosts:
        assert replicas(host) == [f"app-r000002-{number}" for number in (1, 2, 3)]
        assert host.folders("app") == {ONE, TWO}
        assert factories.image("one") in host.engine.images


def test_other_configuration_is_another_release_of_the_same_image() -> None:
    fleet = live_fleet()
    assert go(fleet, asking(fleet, "one", color="green")).release == TWO
    assert go(fleet, asking(fleet, "one", color="green")).outcome == "unchanged"


@pytest.mark.parametrize("count", [1, 2, 5, 63])
def test_another_number_of_replicas_loses_none_on_the_way(count: int) -> None:
    fleet = live_fleet()
    go(fleet, asking(fleet, "one", replicas=count))
    assert len(replicas(fleet["host-1"])) == count
    assert fleet.served() == [ONE]


def test_old_releases_and_the_images_that_only_they_used_are_pruned() -> None:
    fleet = live_fleet()
    for label in ("two", "three", "two"):
        go(fleet, asking(fleet, label, color=label), keep=2)
    host = fleet["host-1"]
    assert host.folders("app") == {THREE, "r000004-3f9c2ab"}
    assert factories.image("one") not in host.engine.images
    assert factories.image("two") in host.engine.images


def test_services_share_the_edge_and_leave_each_other_alone() -> None:
    fleet = live_fleet()
    shop = asking(fleet, "shop", name="shop", path="/shop")
    named = asking(fleet, "named", name="named", host="named.example")
    go(fleet, shop)
    go(fleet, named)
    go(fleet, asking(fleet, "two"))
    assert fleet.served("/") == ["r000004-3f9c2ab"]
    assert fleet.served("/shop/cart") == [TWO]
    assert fleet.served("/", "named.example") == [THREE]
    for request in (shop, named, asking(fleet, "two")):
        assert go(fleet, request).outcome == "unchanged"


def test_two_services_at_one_place_are_refused_by_nginx_and_the_first_serves_on() -> None:
    fleet = live_fleet()
    with pytest.raises(RevertedError, match="nginx refuses"):
        go(fleet, asking(fleet, "rival", name="rival"))
    assert fleet.served() == [ONE]
    assert fleet["host-1"].folders("rival") == set()


def test_a_new_host_gets_what_is_live_and_the_old_one_only_the_record() -> None:
    fleet = live_fleet("host-1")
    fleet.add("host-2")
    steps = plan(asking(fleet, "one"), context(fleet)).steps
    assert {name_of(step) for step in steps if step.host == "host-1"} == {"RecordLive"}
    assert go(fleet, asking(fleet, "one")).release == ONE
    assert fleet.served() == [ONE, ONE]
    assert go(fleet, asking(fleet, "one")).outcome == "unchanged"


def test_a_new_host_that_fails_is_cleared_and_the_old_one_untouched() -> None:
    fleet = live_fleet("host-1")
    fleet.add("host-2").pull_refused = True
    for label in ("one", "two"):
        with pytest.raises(RevertedError):
            go(fleet, asking(fleet, label))
        assert fleet.served() == [ONE, ""]
        assert [host.folders("app") for host in fleet.hosts] == [{ONE}, set()]


# What doesn't become healthy, or isn't what it says.


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        (ContainerBehaviour(healthy_after_s=None), "was never healthy in 20 s after its start"),
        (ContainerBehaviour(crashes_after_s=0.8), "ends again and again"),
        (ContainerBehaviour(dies_after_s=0.5), "ends again and again"),
        (ContainerBehaviour(answers_as=ONE), "did not answer as r000002"),
        (ContainerBehaviour(fails_every=2), r"did not answer as r000002-3f9c2ab \(last: HTTP 500"),
        (
            ContainerBehaviour(fails_at="/readyz"),
            r"last: HTTP 500 at /readyz\)\n.*\n  log: .* printed its last",
        ),
    ],
)
def test_a_bad_candidate_never_gets_traffic(behaviour: ContainerBehaviour, told: str) -> None:
    fleet = live_fleet("host-1", "host-2")
    behaves(fleet, "two", behaviour)
    with pytest.raises(RevertedError, match=told) as failure:
        go(fleet, asking(fleet, "two"))
    assert (failure.value.exit_code, failure.value.end.previous) == (1, ONE)
    assert f"{ONE} serves as before" in failure.value.message
    assert fleet.served() == [ONE, ONE]
    for host in fleet.hosts:
        assert replicas(host) == [f"app-r000001-{number}" for number in (1, 2, 3)]
        assert host.folders("app") == {ONE}
        assert outcomes(host)[-1] == (TWO, "reverted")


def test_an_unhealthy_first_release_leaves_an_edge_that_says_503() -> None:
    fleet = Fleet.of("host-1")
    behaves(fleet, "one", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(RevertedError, match="nothing is live, the edge answers 503"):
        go(fleet, asking(fleet, "one"))
    assert replicas(fleet["host-1"]) == []
    assert fleet.get("http://host-1.test/").status == 503


def test_an_unhealthy_replica_is_told_with_its_last_words() -> None:
    fleet = Fleet.of("host-1")
    behaves(fleet, "one", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(RevertedError) as failure:
        go(fleet, asking(fleet, "one"))
    assert "health check: GET /readyz: HTTP 503" in failure.value.message
    assert "log: app-r000001-1 printed its last line" in failure.value.message


def test_a_candidate_that_was_bad_is_a_new_release_when_it_is_tried_again() -> None:
    fleet = live_fleet()
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(RevertedError):
        go(fleet, asking(fleet, "two"))
    fleet["host-1"].engine.behaviours.clear()
    assert go(fleet, asking(fleet, "two")).release == THREE


def test_replicas_that_fail_once_all_hosts_have_switched_send_all_back() -> None:
    fleet = live_fleet("host-1", "host-2")

    def stop_serving() -> None:
        fleet.watched = False  # this is about replicas that stop under traffic
        for each in fleet["host-2"].engine.containers.values():
            if each.image == factories.image("two"):
                each.behaviour = ContainerBehaviour(dies_after_s=0)

    tell = at("VerifyOutside", "host-2", stop_serving)
    with pytest.raises(RevertedError, match="did not answer as r000002"):
        go(fleet, asking(fleet, "two"), tell)
    assert fleet.served() == [ONE, ONE]


# What is live and ails.


def test_a_missing_replica_is_started_again() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet.watched = False
    del fleet["host-2"].engine.containers["app-r000001-2"]
    outcome = go(fleet, asking(fleet, "one"))
    assert (outcome.release, outcome.outcome) == (ONE, "live")
    assert len(replicas(fleet["host-2"])) == 3
    assert outcomes(fleet["host-2"]) == [(ONE, "live"), (ONE, "live")]


def test_a_replica_that_will_not_recover_by_itself_is_replaced() -> None:
    fleet = live_fleet()
    fleet.watched = False
    host = fleet["host-1"]
    host.engine.containers["app-r000001-2"].behaviour = ContainerBehaviour(dies_after_s=0)
    host.engine.containers["app-r000001-3"].behaviour = ContainerBehaviour(healthy_after_s=None)
    fleet.clock.sleep(60)
    steps = plan(asking(fleet, "one"), context(fleet)).lines()
    assert (
        "  host-1: ReplaceUnhealthy app-r000001-2 app-r000001-3 (exited, unhealthy: started anew)"
        in steps
    )
    go(fleet, asking(fleet, "one"))
    now_s = fleet.clock.monotonic()
    assert all(c.serves(now_s) for c in host.engine.containers.values())


def test_a_restart_of_long_ago_is_no_reason_to_give_up() -> None:
    fleet = live_fleet()
    fleet.watched = False
    engine = fleet["host-1"].engine
    engine.containers["app-r000001-1"].restarted = 4
    del engine.containers["app-r000001-2"]
    assert go(fleet, asking(fleet, "one")).outcome == "live"


def test_a_live_release_that_can_not_be_mended_serves_on_as_it_did() -> None:
    fleet = live_fleet()
    fleet.watched = False
    del fleet["host-1"].engine.containers["app-r000001-2"]
    behaves(fleet, "one", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(RevertedError, match=f"{ONE} could not be mended, {ONE} serves as before"):
        go(fleet, asking(fleet, "one"))
    assert fleet.served() == [ONE]


def test_an_ailing_live_release_does_not_keep_a_failed_candidate_from_going() -> None:
    fleet = live_fleet()
    fleet.watched = False
    del fleet["host-1"].engine.containers["app-r000001-2"]
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(RevertedError):
        go(fleet, asking(fleet, "two"))
    assert replicas(fleet["host-1"]) == ["app-r000001-1", "app-r000001-3"]


# What refuses.


def test_a_refused_pull_or_login_is_told_and_taken_back() -> None:
    fleet = live_fleet("host-1", "host-2")
    request = asking(fleet, "two")
    fleet["host-2"].login_refused = True
    with pytest.raises(
        RevertedError, match=r"host-2: .* refused the login: denied: wrong password"
    ) as error:
        go(fleet, request)
    assert isinstance(error.value.__cause__, RegistryAuthError)
    fleet["host-2"].login_refused = False
    fleet.images.discard(request.image)
    fleet["host-1"].engine.images.discard(request.image)
    with pytest.raises(RevertedError, match="pulling failed: manifest for"):
        go(fleet, request)
    assert [host.folders("app") for host in fleet.hosts] == [{ONE}, {ONE}]


def nginx_of(fleet: Fleet, name: str) -> Nginx:
    return fleet[name].nginx


def at(step: str, host: str, act: Callable[[], None]) -> Callable[[Event], None]:
    """Acts when this step begins on this host for the first time."""
    done: list[bool] = []

    def tell(event: Event) -> None:
        begins = isinstance(event, StepBegun) and (name_of(event.step), event.step.host)
        if begins == (step, host) and not done:
            done.append(True)
            act()

    return tell


def test_a_text_that_nginx_refuses_changes_nothing() -> None:
    fleet = live_fleet("host-1", "host-2")
    nginx_of(fleet, "host-2").refuses = True
    before = dict(fleet["host-2"].files)
    with pytest.raises(RevertedError, match="host-2: nginx refuses the edge's new text"):
        go(fleet, asking(fleet, "two"))
    assert fleet["host-2"].files[paths.ROUTES] == before[paths.ROUTES]
    assert fleet.served() == [ONE, ONE]


def test_a_reload_that_is_not_taken_up_is_taken_back() -> None:
    fleet = live_fleet("host-1", "host-2")
    nginx_of(fleet, "host-2").deaf = True
    with pytest.raises(RevertedError, match="did not take up its new text in 15 s"):
        go(fleet, asking(fleet, "two"))
    assert fleet.served() == [ONE, ONE]
    assert [replicas(host)[0] for host in fleet.hosts] == ["app-r000001-1"] * 2


def test_an_edge_that_takes_up_nothing_any_more_needs_a_person() -> None:
    fleet = live_fleet("host-1", "host-2")
    falls_deaf = at(
        "PointTraffic", "host-2", lambda: setattr(nginx_of(fleet, "host-2"), "deaf", True)
    )
    with pytest.raises(StuckError, match="host-2: the edge did not take up its new text") as error:
        go(fleet, asking(fleet, "two"), falls_deaf)
    assert error.value.exit_code == 4
    assert fleet.served() == [ONE, ONE]
    assert replicas(fleet["host-1"]) == [f"app-r000001-{number}" for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("fact", "value", "told"),
    [
        ("disk_free_bytes", 300_000_000, "300 MB of disk are free"),
        ("version", "20.10.24", "its Docker engine 20.10.24 is older than 26"),
        ("compose_version", "2.3.3", "its docker compose 2.3.3 is older than 2.26"),
    ],
)
def test_an_unfit_host_is_left_as_it_is(fact: str, value: object, told: str) -> None:
    fleet = live_fleet("host-1", "host-2")
    setattr(fleet["host-2"].engine, fact, value)
    before = dict(fleet["host-1"].files)
    with pytest.raises(PreflightError, match=f"host-2: {told}"):
        go(fleet, asking(fleet, "two"))
    changed = {path for path, text in fleet["host-1"].files.items() if before.get(path) != text}
    assert changed <= {locks.TOKEN, locks.HOLDER}


def test_a_host_out_of_reach_stops_a_deploy_before_anything_is_changed() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet.gone.add("host-2")
    before = dict(fleet["host-1"].files)
    with pytest.raises(HostUnreachableError):
        go(fleet, asking(fleet, "two"))
    changed = {path for path, text in fleet["host-1"].files.items() if before.get(path) != text}
    assert changed <= {locks.TOKEN, locks.HOLDER}
    assert fleet["host-1"].locked_by == ""


# The lock.


def test_a_second_deploy_is_refused_and_told_by_whom_and_since_when() -> None:
    fleet = live_fleet("host-1", "host-2")
    refusals: list[ShipError] = []

    def try_too() -> None:
        with pytest.raises(LockedError) as error:
            go(fleet, asking(fleet, "three"))
        refusals.append(error.value)

    tell = at("PullImages", "host-2", try_too)
    go(fleet, replace(asking(fleet, "two"), pipeline="https://ci.example/42"), tell)
    assert fleet.served() == [TWO, TWO]
    assert refusals[0].exit_code == 3
    assert "locked by ada since 2026-11-02T09:00:" in refusals[0].message
    assert "pipeline https://ci.example/42" in refusals[0].message


def test_a_lock_is_taken_on_all_hosts_or_on_none() -> None:
    fleet = live_fleet("host-1", "host-2")
    fleet["host-2"].locked_by = "another"
    with pytest.raises(LockedError, match="host-2"):
        go(fleet, asking(fleet, "two"))
    assert fleet["host-1"].locked_by == ""


def test_a_look_at_the_lock_before_a_long_build_takes_none() -> None:
    fleet = live_fleet("host-1", "host-2")
    refuse_if_taken(fleet.hosts)
    assert [host.locked_by for host in fleet.hosts] == ["", ""]
    fleet["host-2"].locked_by = "another"
    with pytest.raises(LockedError, match="host-2: locked by") as error:
        refuse_if_taken(fleet.hosts)
    assert error.value.exit_code == 3
    fleet.gone.add("host-1")
    with pytest.raises(ShipError, match="host-1"):
        refuse_if_taken(fleet.hosts)


def test_what_a_dead_deployer_left_running_is_waited_for() -> None:
    fleet = live_fleet()
    fleet["host-1"].stragglers = True
    begun, said = fleet.clock.monotonic(), list[str]()

    def tell(event: Event) -> None:
        if isinstance(event, Message) and event.text.startswith("waits: "):
            said.append(event.text)

    def end_in_time(host: MemoryHost) -> None:
        if fleet.clock.monotonic() - begun > PULL_DEADLINE_S:
            host.stragglers = False

    fleet.after_touch = end_in_time
    assert go(fleet, asking(fleet, "two"), tell).release == TWO
    assert said == [
        "waits: host-1: a command of a deployer that is gone still runs; nothing was changed"
    ]


def test_what_never_ends_is_told_and_somebody_who_came_first_is_not_waited_for() -> None:
    fleet = live_fleet()
    fleet["host-1"].stragglers = True
    begun = fleet.clock.monotonic()
    with pytest.raises(LockedError, match="a deployer that is gone still runs"):
        go(fleet, asking(fleet, "two"))
    assert fleet.clock.monotonic() - begun > PULL_DEADLINE_S

    def come_first(event: Event) -> None:
        if isinstance(event, Message):
            fleet["host-1"].locked_by = "another"

    with pytest.raises(LockedError, match="locked by"):
        go(fleet, asking(fleet, "two"), come_first)


def test_whoever_lost_the_lock_does_nothing_more_and_takes_nothing_back() -> None:
    fleet = live_fleet("host-1", "host-2")
    seen: list[dict[str, bytes]] = []

    def lose() -> None:
        for host in fleet.hosts:
            host.locked_by, host.files[locks.TOKEN] = "another", b"another"
            seen.append(dict(host.files))

    tell = at("PointTraffic", "host-1", lose)
    with pytest.raises(LockedError, match="another deploy took the lock") as error:
        go(fleet, asking(fleet, "two"), tell)
    assert error.value.exit_code == 3
    assert [host.files for host in fleet.hosts] == seen
    assert [host.locked_by for host in fleet.hosts] == ["another", "another"]


# What the hosts' records say, whatever became of them.


def test_a_torn_line_of_the_ledger_hides_no_later_one() -> None:
    fleet = live_fleet()
    host = fleet["host-1"]
    host.files[locks.LEDGER] += b'{"turn": 7, "wh'
    go(fleet, asking(fleet, "two"))
    assert outcomes(host) == [(ONE, "live"), (TWO, "live")]


def test_a_lost_ledger_gives_no_sequence_twice() -> None:
    fleet = live_fleet()
    del fleet["host-1"].files[locks.LEDGER]
    assert go(fleet, asking(fleet, "two")).release == TWO


def test_a_live_release_without_a_record_is_never_cleared_away() -> None:
    fleet = live_fleet()
    host = fleet["host-1"]
    del host.files[f"{paths.release_folder('app', ONE)}/release.json"]
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=None))
    with pytest.raises(StuckError, match="no host holds the record of r000001"):
        go(fleet, asking(fleet, "two"))
    assert fleet.served() == [ONE]


def test_the_way_back_is_to_the_old_place_too() -> None:
    fleet = live_fleet()
    fleet.must_serve.clear()  # what is at / then depends on the route
    failing = Fault("host-1", 1, FaultKind.FAILS)

    def tell(event: Event) -> None:
        at("VerifyOutside", "host-1", lambda: fleet.faults.append(failing))(event)
        failing.armed = failing.armed and not isinstance(event, StepFailed)

    with pytest.raises(RevertedError):
        go(fleet, asking(fleet, "two", path="/new"), tell)
    assert (fleet.served("/"), fleet.served("/new")) == ([ONE], [ONE])


def test_a_ledger_that_can_not_be_written_at_the_end_is_told_and_changes_no_outcome() -> None:
    fleet = live_fleet("host-1", "host-2")
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=None))
    told: list[Event] = []

    def tell(event: Event) -> None:
        told.append(event)
        made = [each for each in told if isinstance(each, PlanMade)]
        last = made[-1].plan.steps[-1] if len(made) == 2 else None
        if isinstance(event, StepDone) and last and event.step == last:
            fleet.faults.append(Fault(event.step.host, 1, FaultKind.FAILS))

    with pytest.raises(RevertedError):
        go(fleet, asking(fleet, "two"), tell)
    assert [event.host for event in told if isinstance(event, Message)] == ["host-2"]


# An interrupt.


class RealClock:
    """The machine's, for what must not take long."""

    def now(self) -> str:
        return "2026-11-02T09:00:00+00:00"

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as a terminal has it, where whoever started the tests ignores it, as `nohup` and `&` do."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("step", ["AwaitHealthy", "PointTraffic"])
@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_takes_the_deploy_back_at_once(step: str) -> None:
    fleet = Fleet.of("host-1", "host-2", clock=RealClock())
    for host in fleet.hosts:
        host.edge_lingers_s = 0
    behaves(fleet, "one", ContainerBehaviour(healthy_after_s=0))
    go(fleet, asking(fleet, "one"))
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=60 if step == "AwaitHealthy" else 0))
    begun = time.monotonic()
    tell = at(step, "host-1", _thread.interrupt_main)
    with pytest.raises(RevertedError, match="interrupted"):
        go(fleet, asking(fleet, "two"), tell)
    assert time.monotonic() - begun < 10  # 20 s is what AwaitHealthy would have waited
    assert fleet.served() == [ONE, ONE]
    behaves(fleet, "two", ContainerBehaviour(healthy_after_s=0))
    assert go(fleet, asking(fleet, "two")).release == THREE
