"""A candidate that is held, promoted or aborted; other scales; tasks: on simulated hosts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from deploy.core.commands import locks, paths
from deploy.core.config import Service, Task, Tasks
from deploy.core.planning.steps import name_of
from deploy.core.ports import Completed
from deploy.core.state.edge import parse_edge
from deploy.core.state.ledger import parse_ledger
from deploy.errors import JudgedError, LockedError, ShipError, UsageError
from deploy.run.hosts.observe import observe
from deploy.run.queries.history import history
from deploy.run.rollout.deploy import (
    AbortCommand,
    DeployCommand,
    DeployContext,
    Outcome,
    PromoteCommand,
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
from deploy.run.steps.watch import EdgeJudge, watch_live
from deploy.testing import factories
from deploy.testing.fleet.faults import (
    Fault,
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import PREVIEW_PORT

ONE, TWO, THREE = (f"r00000{number}-3f9c2ab" for number in (1, 2, 3))
SERVICE = factories.service(replicas=2)
TASKS = Tasks(Task(("migrate", "up"), 60), Task(("warm-up",), 60))


def context(fleet: Fleet) -> DeployContext:
    return DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)


def quiet(event: Event) -> None:
    del event


def asking(
    fleet: Fleet, label: str, *, hold: bool = False, service: Service = SERVICE
) -> DeployCommand:
    request = DeployCommand(
        service,
        factories.image(label),
        factories.REPLICA,
        factories.stacks(),
        factories.ORIGIN,
        hold=hold,
    )
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    return request


@pytest.fixture
def fleet() -> Fleet:
    """Two hosts that serve ONE."""
    fleet = Fleet.of("host-1", "host-2")
    deploy(asking(fleet, "one"), context(fleet), quiet)
    fleet.must_serve.update(("host-1", "host-2"))
    return fleet


@pytest.fixture
def held(fleet: Fleet) -> Fleet:
    """The same, with TWO held beside it."""
    outcome = deploy(asking(fleet, "two", hold=True), context(fleet), quiet)
    assert (outcome.outcome, outcome.release, outcome.previous) == ("held", TWO, ONE)
    return fleet


def promoted(fleet: Fleet, tell: Callable[[Event], None] = quiet, release: str = TWO) -> Outcome:
    return promote(PromoteCommand(SERVICE, factories.ORIGIN, release), context(fleet), tell)


def aborted(fleet: Fleet, release: str = TWO) -> Outcome:
    return abort(AbortCommand(SERVICE, factories.ORIGIN, release), context(fleet), quiet)


def is_whole(fleet: Fleet, release: str) -> bool:
    """One release everywhere, nothing beside it, nothing held, nothing wrong on the way."""
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


# Held.


def test_a_held_candidate_answers_on_the_preview_route_only(held: Fleet) -> None:
    assert held.served() == [ONE, ONE]
    for host in held.hosts:
        assert TWO.encode() in host.answer(PREVIEW_PORT, "", "/version").body
    assert held.violations == []


def test_to_hold_again_what_is_held_only_renews_the_hold(held: Fleet) -> None:
    before = observe(held.hosts).lasting_hold("app")
    assert before is not None
    held.clock.sleep(60)
    assert deploy(asking(held, "two", hold=True), context(held), quiet).outcome == "held"
    after = observe(held.hosts).lasting_hold("app")
    assert after is not None
    assert after.expires_s - before.expires_s > 60


def test_other_deploys_are_refused_and_told_by_whom(held: Fleet) -> None:
    refused: list[Callable[[], Outcome]] = [
        lambda: deploy(asking(held, "three"), context(held), quiet),
        lambda: deploy(asking(held, "three", hold=True), context(held), quiet),
        lambda: deploy(asking(held, "two"), context(held), quiet),
        lambda: rollback(RollbackCommand(SERVICE, factories.ORIGIN), context(held), quiet),
        lambda: scale(ScaleCommand(SERVICE, factories.ORIGIN, 4), context(held), quiet),
        lambda: promoted(held, release=THREE),
        lambda: aborted(held, release=THREE),
    ]
    for go in refused:
        with pytest.raises(LockedError, match=f"{TWO} is held by ada since 2026") as error:
            go()
        assert error.value.exit_code == 3
    assert held.served() == [ONE, ONE]


def test_an_expired_hold_keeps_nobody_away_and_goes(held: Fleet) -> None:
    held.clock.sleep(SERVICE.rollout.hold_s + 1)
    with pytest.raises(LockedError, match="has expired"):
        promoted(held)
    assert deploy(asking(held, "three"), context(held), quiet).release == THREE
    assert is_whole(held, THREE)


def test_another_service_is_not_held(held: Fleet) -> None:
    other = factories.service("shop", path="/shop")
    assert deploy(asking(held, "shop", service=other), context(held), quiet).outcome == "live"


def test_a_candidate_that_fails_is_not_held(fleet: Fleet) -> None:
    request = asking(fleet, "two", hold=True)
    fleet["host-2"].pull_refused = True
    with pytest.raises(RevertedError):
        deploy(request, context(fleet), quiet)
    assert is_whole(fleet, ONE)


def test_to_hold_what_is_live_is_nothing_to_do(fleet: Fleet) -> None:
    assert deploy(asking(fleet, "one", hold=True), context(fleet), quiet).outcome == "unchanged"


# Promoted, aborted.


def test_a_promoted_candidate_is_live(held: Fleet) -> None:
    outcome = promoted(held)
    assert (outcome.outcome, outcome.release, outcome.previous) == ("live", TWO, ONE)
    assert is_whole(held, TWO)


def test_an_aborted_candidate_is_gone_and_the_live_release_untouched(held: Fleet) -> None:
    before = [dict(host.engine.containers) for host in held.hosts]
    assert aborted(held).outcome == "aborted"
    assert is_whole(held, ONE)
    for host, containers in zip(held.hosts, before, strict=True):
        assert all(containers[name] is each for name, each in host.engine.containers.items())
        assert host.folders("app") == {ONE}
    assert aborted(held).outcome == "unchanged"


def test_a_first_candidate_that_is_aborted_leaves_nothing() -> None:
    fleet = Fleet.of("host-1")
    deploy(asking(fleet, "one", hold=True), context(fleet), quiet)
    assert aborted(fleet, ONE).outcome == "aborted"
    assert fleet.served() == [""]
    assert fleet["host-1"].folders("app") == set()


def test_what_is_live_is_not_aborted(fleet: Fleet) -> None:
    with pytest.raises(LockedError, match="is live"):
        aborted(fleet, ONE)


def test_a_candidate_is_refused_beside_another_live_release(held: Fleet) -> None:
    for host in held.hosts:  # as if a person had switched by hand
        text = host.files[paths.ROUTES].decode()
        state = parse_edge(text)
        route = state.routes[0]
        line = text.replace(f'"live":"{ONE}"', f'"live":"{THREE}"', 1)
        assert route.live == ONE
        host.files[paths.ROUTES] = line.encode()
    with pytest.raises(LockedError, match=f"{THREE} is live"):
        promoted(held)


def test_a_promotion_that_fails_is_taken_back_with_its_hold(held: Fleet) -> None:
    held["host-2"].answers[TWO] = (100, 50)
    with pytest.raises(RevertedError) as caught:
        promoted(held)
    assert is_whole(held, ONE)
    # There is nothing left to promote.
    assert caught.value.hint == f"./ship deploy app --image {factories.image('two')} tries again"


@pytest.mark.parametrize("again", ["promote", "deploy"])
def test_a_promotion_that_was_killed_is_ended_by_itself_or_by_a_deploy(
    held: Fleet, again: str
) -> None:
    def kill(event: Event) -> None:
        match event:
            case StepBegun(step=step) if (name_of(step), step.host) == ("PointTraffic", "host-2"):
                held.faults.append(Fault("host-2", 1, FaultKind.KILLED))
            case _:
                pass

    with pytest.raises(Killed):
        promoted(held, kill)
    held.revive()
    assert held.served() == [TWO, ONE]
    outcome = (
        promoted(held) if again == "promote" else deploy(asking(held, "two"), context(held), quiet)
    )
    assert outcome.outcome == "live"
    assert is_whole(held, TWO)


# Scale.


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_a_scale_touches_only_what_comes_or_goes(fleet: Fleet, count: int) -> None:
    before = dict(fleet["host-1"].engine.containers)
    outcome = scale(ScaleCommand(SERVICE, factories.ORIGIN, count), context(fleet), quiet)
    assert (outcome.outcome, outcome.release) == ("unchanged" if count == 2 else "live", ONE)
    assert is_whole(fleet, ONE)
    for host in fleet.hosts:
        assert sum(c.has_check for c in host.engine.containers.values()) == count
    stayed = set(before) & set(fleet["host-1"].engine.containers)
    assert all(fleet["host-1"].engine.containers[name] is before[name] for name in stayed)
    assert (
        scale(ScaleCommand(SERVICE, factories.ORIGIN, count), context(fleet), quiet).outcome
        == "unchanged"
    )


def test_another_scale_runs_no_task_that_the_service_has_got_since(fleet: Fleet) -> None:
    since = replace(SERVICE, tasks=TASKS)
    assert scale(ScaleCommand(since, factories.ORIGIN, 4), context(fleet), quiet).outcome == "live"
    assert [host.tasks for host in fleet.hosts] == [[], []]


def test_a_scale_that_fails_goes_back_to_as_many_as_there_were(fleet: Fleet) -> None:
    def full(event: Event) -> None:
        match event:
            case StepBegun(step=step) if (name_of(step), step.host) == ("StartReplicas", "host-2"):
                fleet.faults.append(Fault("host-2", 1, FaultKind.FAILS_ONCE))
            case _:
                pass

    with pytest.raises(RevertedError):
        scale(ScaleCommand(SERVICE, factories.ORIGIN, 5), context(fleet), full)
    assert is_whole(fleet, ONE)
    for host in fleet.hosts:
        assert sum(c.has_check for c in host.engine.containers.values()) == 2


def test_nothing_live_is_not_scaled() -> None:
    fleet = Fleet.of("host-1")
    deploy(asking(fleet, "one", hold=True), context(fleet), quiet)
    aborted(fleet, ONE)
    with pytest.raises(UsageError, match="nothing is live"):
        scale(ScaleCommand(SERVICE, factories.ORIGIN, 5), context(fleet), quiet)


# Tasks.


def with_tasks(fleet: Fleet, label: str) -> DeployCommand:
    return asking(fleet, label, service=replace(SERVICE, tasks=TASKS))


def test_tasks_run_once_a_release_on_one_host_and_their_words_are_kept(fleet: Fleet) -> None:
    request = with_tasks(fleet, "two")
    assert deploy(request, context(fleet), quiet).outcome == "live"
    assert [host.tasks for host in fleet.hosts] == [["migrate up", "warm-up"], []]
    entries = parse_ledger(fleet["host-1"].files[locks.LEDGER].decode())
    told = [(e.release, e.what, e.outcome, e.why) for e in entries if e.event == "task"]
    assert told == [
        (TWO, "before_switch", "done", "did it"),
        (TWO, "after_switch", "done", "did it"),
    ]
    assert history(fleet.hosts, "app")[-1].entry.outcome == "live"
    assert deploy(request, context(fleet), quiet).outcome == "unchanged"
    rollback(RollbackCommand(request.service, factories.ORIGIN), context(fleet), quiet)
    assert [len(host.tasks) for host in fleet.hosts] == [2, 0]
    assert is_whole(fleet, ONE)


def test_a_failing_before_switch_stops_the_deploy_with_nothing_switched(fleet: Fleet) -> None:
    fleet["host-1"].task_ends = Completed(3, "no such table\n")
    with pytest.raises(RevertedError, match=r"before_switch of .* exited 3\n  no such table"):
        deploy(with_tasks(fleet, "two"), context(fleet), quiet)
    assert is_whole(fleet, ONE)


def test_a_failing_after_switch_leaves_the_release_live_and_is_tried_again(fleet: Fleet) -> None:
    request = with_tasks(fleet, "two")

    def fail(event: Event) -> None:
        match event:
            case StepBegun(step=step) if (
                name_of(step) == "DropHold" or name_of(step) == "RecordLive"
            ):
                fleet["host-1"].task_ends = Completed(1, "not now\n")
            case _:
                pass

    with pytest.raises(StuckError, match=r"(?s)is live everywhere.*not now") as error:
        deploy(request, context(fleet), fail)
    assert error.value.exit_code == 4
    assert is_whole(fleet, TWO)
    fleet["host-1"].task_ends = Completed(0)
    (step,) = plan(request, context(fleet)).steps
    assert name_of(step) == "RunTask"
    assert deploy(request, context(fleet), quiet).outcome == "live"
    assert fleet["host-1"].tasks == ["migrate up", "warm-up", "warm-up"]


# Queueing.


def test_who_waits_is_told_for_whom_and_goes_on_when_the_lock_is_free(fleet: Fleet) -> None:
    fleet["host-2"].locked_by = "another"
    said: list[str] = []

    def tell(event: Event) -> None:
        if isinstance(event, Message) and event.text.startswith("waits"):
            said.append(event.text)
            assert fleet["host-1"].locked_by == ""
            fleet["host-2"].locked_by = ""

    assert deploy(asking(fleet, "two"), context(fleet), tell, wait=True).outcome == "live"
    assert len(said) == 1
    fleet["host-2"].locked_by = "another"
    with pytest.raises(ShipError, match="locked by"):
        deploy(asking(fleet, "three"), context(fleet), tell)


# Watched and confirmed.


def test_the_live_release_is_watched_and_judged(fleet: Fleet) -> None:
    release, verdict = watch_live(SERVICE, fleet.hosts, fleet.clock, EdgeJudge())
    assert (release, verdict.outcome, len(verdict.evidence)) == (ONE, "pass", 2)
    fleet["host-2"].answers[ONE] = (100, 50)
    with pytest.raises(JudgedError, match="50 of 100"):
        watch_live(SERVICE, fleet.hosts, fleet.clock, EdgeJudge())


def test_a_live_release_is_not_passed_without_a_request_on_each_host(fleet: Fleet) -> None:
    for command in ("host-1", "host-2"):
        fleet[command].answers[ONE] = (0, 0)
        _, verdict = watch_live(SERVICE, fleet.hosts, fleet.clock, EdgeJudge())
        assert verdict.outcome == "inconclusive"
        assert any("host-1: no request" in line for line in verdict.evidence)


def test_to_confirm_what_is_live_only_records_it(fleet: Fleet) -> None:
    before = {name: host.engine.containers for name, host in enumerate(fleet.hosts)}
    assert confirm(asking(fleet, "one"), context(fleet), quiet).outcome == "unchanged"
    entries = parse_ledger(fleet["host-2"].files[locks.LEDGER].decode())
    assert (entries[-1].verb, entries[-1].outcome, entries[-1].release) == (
        "confirm",
        "confirmed",
        ONE,
    )
    assert before == {name: host.engine.containers for name, host in enumerate(fleet.hosts)}


def test_to_confirm_what_was_live_brings_it_back(fleet: Fleet) -> None:
    deploy(asking(fleet, "two"), context(fleet), quiet)
    outcome = confirm(asking(fleet, "one"), context(fleet), quiet)
    assert (outcome.outcome, outcome.release, outcome.previous) == ("live", ONE, TWO)
    assert is_whole(fleet, ONE)


def test_to_confirm_what_no_host_knows_deploys_it(fleet: Fleet) -> None:
    outcome = confirm(asking(fleet, "two"), context(fleet), quiet)
    assert (outcome.outcome, outcome.release) == ("live", TWO)


def test_to_confirm_an_older_configuration_of_the_live_image_brings_it_back(fleet: Fleet) -> None:
    blue = factories.service(replicas=2, color="blue")
    deploy(asking(fleet, "one", service=blue), context(fleet), quiet)
    outcome = confirm(asking(fleet, "one"), context(fleet), quiet)
    assert (outcome.outcome, outcome.release, outcome.previous) == ("live", ONE, TWO)
    assert is_whole(fleet, ONE)
    assert confirm(asking(fleet, "one"), context(fleet), quiet).outcome == "unchanged"


def test_to_confirm_a_known_image_as_it_never_was_configured_deploys_it(fleet: Fleet) -> None:
    blue = factories.service(replicas=2, color="blue")
    outcome = confirm(asking(fleet, "one", service=blue), context(fleet), quiet)
    assert (outcome.outcome, outcome.release, outcome.previous) == ("live", TWO, ONE)
