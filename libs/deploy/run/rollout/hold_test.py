"""Held, promoted and aborted candidates, scaling, tasks and confirming, on simulated hosts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from deploy.core.commands import locks, paths
from deploy.core.config import Task, Tasks
from deploy.core.planning.steps import name_of
from deploy.core.ports import Completed
from deploy.core.state.edge import Upstream
from deploy.core.state.ledger import parse_ledger
from deploy.errors import LockedError, ReleaseRefusedError, ShipError, UsageError
from deploy.run.hosts.observe import observe
from deploy.run.queries.history import history
from deploy.run.rollout import rollout_fixture
from deploy.run.rollout.deploy import (
    AbortCommand,
    DeployCommand,
    PromoteCommand,
    Result,
    RevertedError,
    RollbackCommand,
    ScaleCommand,
    StuckError,
    abort,
    confirm,
    deploy,
    plan,
    promote,
    rollback,
    scale,
)
from deploy.run.rollout.events import (
    Event,
    Message,
    StepBegun,
)
from deploy.run.rollout.rollout_fixture import ONE, THREE, TWO, context, fault_at, live_fleet, quiet
from deploy.run.steps.watch import watch_live
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour
from deploy.testing.fleet.faults import (
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import PREVIEW_PORT
from deploy.testing.fleet.simulated_host import BROKEN, Visits

SERVICE = factories.service(replicas=2)
TASKS = Tasks(Task(("migrate", "up"), 60), Task(("warm-up",), 60))
deploy_command = partial(rollout_fixture.deploy_command, service=SERVICE)


@pytest.fixture
def fleet() -> Fleet:
    """Two hosts that serve ONE."""
    return live_fleet("host-1", "host-2", service=SERVICE)


@pytest.fixture
def held(fleet: Fleet) -> Fleet:
    """The same hosts, with TWO held as a candidate."""
    result = deploy(deploy_command(fleet, "two", hold=True), context(fleet), quiet)
    assert (result.outcome, result.release, result.previous) == ("held", TWO, ONE)
    return fleet


def promoted(fleet: Fleet, listen: Callable[[Event], None] = quiet, release: str = TWO) -> Result:
    return promote(PromoteCommand(SERVICE, factories.ORIGIN, release), context(fleet), listen)


def aborted(fleet: Fleet, release: str = TWO) -> Result:
    return abort(AbortCommand(SERVICE, factories.ORIGIN, release), context(fleet), quiet)


def break_a_path(fleet: Fleet) -> None:
    """Makes all replicas answer 500 on one path."""
    for host in fleet.hosts:
        for container in host.engine.containers.values():
            container.behaviour = ContainerBehaviour(fails_at=BROKEN)


def is_whole(fleet: Fleet, release: str) -> bool:
    """Returns whether this release alone runs everywhere, nothing is held, and no invariant was violated.

    First it lets the hosts finish their drains.
    """
    fleet.await_drained()
    running = {
        c.labels["py-cicd.release"]
        for host in fleet.hosts
        for c in host.engine.containers.values()
        if c.has_check
    }
    held = any(paths.hold_file("app") in host.files for host in fleet.hosts)
    return (set(fleet.served()), running, held, fleet.violations) == (
        {release},
        {release},
        False,
        [],
    )


# Holding.


def test_held_candidate_answers_on_the_preview_route_only(held: Fleet) -> None:
    assert held.served() == [ONE, ONE]
    for host in held.hosts:
        assert TWO.encode() in host.answer(PREVIEW_PORT, "", "/version").body
    assert held.violations == []


def test_second_hold_of_the_same_candidate_renews_it(held: Fleet) -> None:
    before = observe(held.hosts).active_hold("app")
    assert before is not None
    held.clock.sleep(60)
    assert deploy(deploy_command(held, "two", hold=True), context(held), quiet).outcome == "held"
    after = observe(held.hosts).active_hold("app")
    assert after is not None
    assert after.expires_s - before.expires_s > 60


def test_other_operations_are_refused_and_the_error_says_who_holds_the_candidate(
    held: Fleet,
) -> None:
    refused: list[Callable[[], Result]] = [
        lambda: deploy(deploy_command(held, "three"), context(held), quiet),
        lambda: deploy(deploy_command(held, "three", hold=True), context(held), quiet),
        lambda: deploy(deploy_command(held, "two"), context(held), quiet),
        lambda: rollback(RollbackCommand(SERVICE, factories.ORIGIN), context(held), quiet),
        lambda: scale(ScaleCommand(SERVICE, factories.ORIGIN, 4), context(held), quiet),
        lambda: promoted(held, release=THREE),
        lambda: aborted(held, release=THREE),
    ]
    for run in refused:
        with pytest.raises(LockedError, match=f"{TWO} is held by ada since 2026") as error:
            run()
        assert error.value.exit_code == 3
    assert held.served() == [ONE, ONE]


def test_expired_hold_blocks_no_deploy_and_is_removed(held: Fleet) -> None:
    held.clock.sleep(SERVICE.rollout.hold_s + 1)
    with pytest.raises(LockedError, match="has expired"):
        promoted(held)
    assert deploy(deploy_command(held, "three"), context(held), quiet).release == THREE
    assert is_whole(held, THREE)


def test_hold_does_not_affect_another_service(held: Fleet) -> None:
    other = factories.service("shop", path="/shop")
    assert (
        deploy(deploy_command(held, "shop", service=other), context(held), quiet).outcome == "live"
    )


def test_failed_candidate_is_not_held(fleet: Fleet) -> None:
    command = deploy_command(fleet, "two", hold=True)
    fleet["host-2"].pull_refused = True
    with pytest.raises(RevertedError):
        deploy(command, context(fleet), quiet)
    assert is_whole(fleet, ONE)


def test_hold_of_the_live_release_changes_nothing(fleet: Fleet) -> None:
    assert (
        deploy(deploy_command(fleet, "one", hold=True), context(fleet), quiet).outcome
        == "unchanged"
    )


# Promoting and aborting.


def test_promoted_candidate_is_live(held: Fleet) -> None:
    result = promoted(held)
    assert (result.outcome, result.release, result.previous) == ("live", TWO, ONE)
    assert is_whole(held, TWO)


def test_abort_removes_the_candidate_and_keeps_the_live_release(held: Fleet) -> None:
    before = [dict(host.engine.containers) for host in held.hosts]
    assert aborted(held).outcome == "aborted"
    assert is_whole(held, ONE)
    for host, containers in zip(held.hosts, before, strict=True):
        assert all(containers[name] is each for name, each in host.engine.containers.items())
        assert host.folders("app") == {ONE}
    assert aborted(held).outcome == "unchanged"


def test_abort_of_a_first_candidate_leaves_nothing() -> None:
    fleet = Fleet.of("host-1")
    deploy(deploy_command(fleet, "one", hold=True), context(fleet), quiet)
    assert aborted(fleet, ONE).outcome == "aborted"
    assert fleet.served() == [""]
    assert fleet["host-1"].folders("app") == set()


def test_live_release_cannot_be_aborted(fleet: Fleet) -> None:
    with pytest.raises(LockedError, match="is live"):
        aborted(fleet, ONE)


def test_promote_is_refused_if_another_release_went_live(held: Fleet) -> None:
    for host in held.hosts:  # as if a person had switched by hand
        state = host.edge_state
        (route,) = state.routes
        assert route.live == ONE
        switched = route.offer(Upstream(THREE, ("10.213.0.193:8080",))).point(THREE)
        host.write_edge_state(state.with_route(switched))
    with pytest.raises(LockedError, match=f"{THREE} is live"):
        promoted(held)


def test_failed_promote_is_reverted_and_ends_the_hold(held: Fleet) -> None:
    break_a_path(held)
    held["host-2"].visits = (Visits(100, broken=50),)
    with pytest.raises(RevertedError) as caught:
        promoted(held)
    assert is_whole(held, ONE)
    # The candidate is gone, so there is nothing left to promote.
    assert caught.value.hint.startswith("fix the error above, then ./ship deploy app")


@pytest.mark.parametrize("rerun", ["promote", "deploy"])
def test_killed_promote_is_finished_by_promote_or_deploy(held: Fleet, rerun: str) -> None:
    kill = fault_at(held, "PointTraffic", "host-2", FaultKind.KILLED)
    with pytest.raises(Killed):
        promoted(held, kill)
    held.revive()
    assert held.served() == [TWO, ONE]
    result = (
        promoted(held)
        if rerun == "promote"
        else deploy(deploy_command(held, "two"), context(held), quiet)
    )
    assert result.outcome == "live"
    assert is_whole(held, TWO)


# Scaling.


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_scale_changes_only_added_and_removed_replicas(fleet: Fleet, count: int) -> None:
    before = dict(fleet["host-1"].engine.containers)
    result = scale(ScaleCommand(SERVICE, factories.ORIGIN, count), context(fleet), quiet)
    assert (result.outcome, result.release) == ("unchanged" if count == 2 else "live", ONE)
    assert is_whole(fleet, ONE)
    for host in fleet.hosts:
        assert sum(c.has_check for c in host.engine.containers.values()) == count
    stayed = set(before) & set(fleet["host-1"].engine.containers)
    assert all(fleet["host-1"].engine.containers[name] is before[name] for name in stayed)
    assert (
        scale(ScaleCommand(SERVICE, factories.ORIGIN, count), context(fleet), quiet).outcome
        == "unchanged"
    )


def test_scale_runs_no_tasks(fleet: Fleet) -> None:
    with_new_tasks = replace(SERVICE, tasks=TASKS)
    assert (
        scale(ScaleCommand(with_new_tasks, factories.ORIGIN, 4), context(fleet), quiet).outcome
        == "live"
    )
    assert [host.tasks for host in fleet.hosts] == [[], []]


def test_failed_scale_restores_the_number_of_replicas(fleet: Fleet) -> None:
    full = fault_at(fleet, "StartReplicas", "host-2", FaultKind.FAILS_ONCE)
    with pytest.raises(RevertedError):
        scale(ScaleCommand(SERVICE, factories.ORIGIN, 5), context(fleet), full)
    assert is_whole(fleet, ONE)
    for host in fleet.hosts:
        assert sum(c.has_check for c in host.engine.containers.values()) == 2


def test_scale_without_a_live_release_is_refused() -> None:
    fleet = Fleet.of("host-1")
    deploy(deploy_command(fleet, "one", hold=True), context(fleet), quiet)
    aborted(fleet, ONE)
    with pytest.raises(UsageError, match="nothing is live"):
        scale(ScaleCommand(SERVICE, factories.ORIGIN, 5), context(fleet), quiet)


# Tasks.


def with_tasks(fleet: Fleet, label: str) -> DeployCommand:
    return deploy_command(fleet, label, service=replace(SERVICE, tasks=TASKS))


def test_tasks_run_once_per_release_on_one_host_and_their_output_is_recorded(fleet: Fleet) -> None:
    command = with_tasks(fleet, "two")
    assert deploy(command, context(fleet), quiet).outcome == "live"
    assert [host.tasks for host in fleet.hosts] == [["migrate up", "warm-up"], []]
    entries = parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
    recorded = [(e.release, e.what, e.outcome, e.why) for e in entries if e.event == "task"]
    assert recorded == [
        (TWO, "before_switch", "done", "did it"),
        (TWO, "after_switch", "done", "did it"),
    ]
    assert history(fleet.hosts, "app")[-1].entry.outcome == "live"
    assert deploy(command, context(fleet), quiet).outcome == "unchanged"
    rollback(RollbackCommand(command.service, factories.ORIGIN), context(fleet), quiet)
    assert [len(host.tasks) for host in fleet.hosts] == [2, 0]
    assert is_whole(fleet, ONE)


def test_failed_before_switch_task_reverts_before_any_switch(fleet: Fleet) -> None:
    fleet["host-1"].task_ends = Completed(3, "no such table\n")
    with pytest.raises(RevertedError, match=r"before_switch of .* exited 3\n  no such table"):
        deploy(with_tasks(fleet, "two"), context(fleet), quiet)
    assert is_whole(fleet, ONE)


def test_failed_after_switch_task_leaves_the_release_live_and_runs_again_next_time(
    fleet: Fleet,
) -> None:
    command = with_tasks(fleet, "two")

    def fail(event: Event) -> None:
        match event:
            case StepBegun(step=step) if (
                name_of(step) == "DropHold" or name_of(step) == "RecordLive"
            ):
                fleet["host-1"].task_ends = Completed(1, "not now\n")
            case _:
                pass

    with pytest.raises(StuckError, match=r"(?s)is live everywhere.*not now") as error:
        deploy(command, context(fleet), fail)
    assert error.value.exit_code == 4
    assert is_whole(fleet, TWO)
    fleet["host-1"].task_ends = Completed(0)
    (step,) = plan(command, context(fleet)).steps
    assert name_of(step) == "RunTask"
    assert deploy(command, context(fleet), quiet).outcome == "live"
    assert fleet["host-1"].tasks == ["migrate up", "warm-up", "warm-up"]


# Queueing.


def test_waiting_deploy_says_for_whom_and_continues_when_the_lock_is_free(fleet: Fleet) -> None:
    fleet["host-2"].locked_by = "another"
    messages: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Message) and event.text.startswith("waiting: "):
            messages.append(event.text)
            assert fleet["host-1"].locked_by == ""
            fleet["host-2"].locked_by = ""

    assert deploy(deploy_command(fleet, "two"), context(fleet), listen, wait=True).outcome == "live"
    assert len(messages) == 1
    fleet["host-2"].locked_by = "another"
    with pytest.raises(ShipError, match="locked by"):
        deploy(deploy_command(fleet, "three"), context(fleet), listen)


# Watching and confirming.


def test_watch_of_the_live_release_passes_or_refuses_it(fleet: Fleet) -> None:
    for host in fleet.hosts:
        host.visits = (Visits(100),)
    release, verdict = watch_live(SERVICE, fleet.hosts, fleet.clock)
    assert (release, verdict.outcome, len(verdict.results)) == (ONE, "pass", 2)
    break_a_path(fleet)
    fleet["host-2"].visits = (Visits(100, broken=50),)
    with pytest.raises(ReleaseRefusedError, match="50 of 100"):
        watch_live(SERVICE, fleet.hosts, fleet.clock)


def test_watch_is_inconclusive_without_requests_on_every_host(fleet: Fleet) -> None:
    for silent, busy in (("host-1", "host-2"), ("host-2", "host-1")):
        fleet[silent].visits, fleet[busy].visits = (), (Visits(100),)
        _, verdict = watch_live(SERVICE, fleet.hosts, fleet.clock)
        assert verdict.outcome == "inconclusive"
        texts = [result.text for result in verdict.results]
        assert any(f"{silent}: no user requests" in text for text in texts)
        assert any(f"{busy}: 0 of 100 requests failed" in text for text in texts)


def test_confirm_of_the_live_release_only_records_it(fleet: Fleet) -> None:
    before = {name: host.engine.containers for name, host in enumerate(fleet.hosts)}
    assert confirm(deploy_command(fleet, "one"), context(fleet), quiet).outcome == "unchanged"
    entries = parse_ledger(fleet["host-2"].files[locks.LEDGER].decode())
    assert (entries[-1].verb, entries[-1].outcome, entries[-1].release) == (
        "confirm",
        "confirmed",
        ONE,
    )
    assert before == {name: host.engine.containers for name, host in enumerate(fleet.hosts)}


def test_confirm_of_an_earlier_release_rolls_back_to_it(fleet: Fleet) -> None:
    deploy(deploy_command(fleet, "two"), context(fleet), quiet)
    result = confirm(deploy_command(fleet, "one"), context(fleet), quiet)
    assert (result.outcome, result.release, result.previous) == ("live", ONE, TWO)
    assert is_whole(fleet, ONE)


def test_confirm_of_an_unknown_image_deploys_it(fleet: Fleet) -> None:
    result = confirm(deploy_command(fleet, "two"), context(fleet), quiet)
    assert (result.outcome, result.release) == ("live", TWO)


def test_confirm_of_an_earlier_configuration_rolls_back_to_it(fleet: Fleet) -> None:
    blue = factories.service(replicas=2, color="blue")
    deploy(deploy_command(fleet, "one", service=blue), context(fleet), quiet)
    result = confirm(deploy_command(fleet, "one"), context(fleet), quiet)
    assert (result.outcome, result.release, result.previous) == ("live", ONE, TWO)
    assert is_whole(fleet, ONE)
    assert confirm(deploy_command(fleet, "one"), context(fleet), quiet).outcome == "unchanged"


def test_confirm_of_a_new_configuration_deploys_it(fleet: Fleet) -> None:
    blue = factories.service(replicas=2, color="blue")
    result = confirm(deploy_command(fleet, "one", service=blue), context(fleet), quiet)
    assert (result.outcome, result.release, result.previous) == ("live", TWO, ONE)
