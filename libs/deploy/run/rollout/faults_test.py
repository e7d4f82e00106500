"""Fails every step of every plan in turn, in every way, and checks after each command what must always hold.

The cases are generated from the plans, so a new step is covered automatically.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.core.commands import locks, paths
from deploy.core.planning.steps import Step, name_of
from deploy.errors import ShipError
from deploy.run.rollout.deploy import (
    DeployCommand,
    RevertedError,
    StuckError,
    deploy,
    plan,
)
from deploy.run.rollout.events import (
    Event,
    StepBegun,
    StepDone,
    StepFailed,
)
from deploy.run.rollout.rollout_fixture import (
    ONE,
    context,
    deploy_command,
    fault_at,
    live_fleet,
    quiet,
)
from deploy.testing import factories
from deploy.testing.fleet.faults import (
    Fault,
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import MemoryHost

NAMES = ("host-1", "host-2")
SERVICE = factories.service(replicas=2)
FIRST, LAST = 1, 0
WAYS = (
    (FaultKind.FAILS, FIRST, False),
    (FaultKind.GONE, LAST, True),
    (FaultKind.KILLED, FIRST, False),
    (FaultKind.KILLED, LAST, True),
)
MORE_WAYS = (
    *WAYS,
    (FaultKind.FAILS_ONCE, FIRST, False),
    (FaultKind.FAILS_ONCE, LAST, True),
    (FaultKind.FAILS, FIRST, True),
    (FaultKind.HALF, FIRST, False),
    (FaultKind.GONE, FIRST, False),
)


@dataclass(frozen=True)
class Case:
    """A fleet, what runs on it, and the command to run. `old` is the live release before, "" for none."""

    name: str
    build: Callable[[], tuple[Fleet, DeployCommand]]
    old: str = ""
    ways: tuple[tuple[FaultKind, int, bool], ...] = WAYS

    @cached_property
    def built(self) -> tuple[Fleet, DeployCommand]:
        return self.build()

    def make(self) -> tuple[Fleet, DeployCommand]:
        return copy.deepcopy(self.built)


@dataclass(frozen=True)
class Before:
    """A fleet before a command: what its hosts served, which were ever deployed to, and their edges."""

    served: tuple[str, ...]
    used: frozenset[str]
    edges: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, fleet: Fleet) -> Before:
        used = (host.name for host in fleet.hosts if locks.LEDGER in host.files)
        edges = tuple(_edges(host) for host in fleet.hosts)
        return cls(tuple(fleet.served()), frozenset(used), edges)


def _edges(host: MemoryHost) -> frozenset[str]:
    """Returns the keys of the edges that a host runs."""
    found = [c.labels for c in host.engine.containers.values()]
    return frozenset(labels["py-cicd.key"] for labels in found if labels["py-cicd.name"] == "edge")


def _first() -> tuple[Fleet, DeployCommand]:
    fleet = Fleet.of(*NAMES)
    return fleet, deploy_command(fleet, "one", SERVICE)


def _upgrade() -> tuple[Fleet, DeployCommand]:
    fleet = live_fleet(*NAMES, service=SERVICE)
    return fleet, deploy_command(fleet, "two", SERVICE)


def _one_more_host() -> tuple[Fleet, DeployCommand]:
    fleet = live_fleet(NAMES[0], service=SERVICE)
    fleet.add(NAMES[1])
    return fleet, deploy_command(fleet, "two", SERVICE)


def _after_a_kill() -> tuple[Fleet, DeployCommand]:
    """The previous deploy was killed after host-1 had switched and before host-2 did."""
    fleet, command = _upgrade()
    with pytest.raises(Killed):
        deploy(command, context(fleet), fault_at(fleet, "PointTraffic", "host-2", FaultKind.KILLED))
    fleet.revive()
    return fleet, deploy_command(fleet, "three", SERVICE)


def _renewal() -> tuple[Fleet, DeployCommand]:
    """A release that comes with another edge."""
    fleet, _ = _upgrade()
    return fleet, deploy_command(fleet, "two", SERVICE, stacks="2")


def _two_edges() -> tuple[Fleet, DeployCommand]:
    """The previous deploy was killed while two edges ran on host-1; now a third comes with another release."""
    fleet, command = _renewal()
    with pytest.raises(Killed):
        deploy(command, context(fleet), fault_at(fleet, "StartStack", "host-2", FaultKind.KILLED))
    assert len(_edges(fleet["host-1"])) == 2
    fleet.revive()
    return fleet, deploy_command(fleet, "three", SERVICE, stacks="3")


def _replaced_stack() -> tuple[Fleet, DeployCommand]:
    """An upgrade of hosts that an earlier version of the tool set up, with a keeper in the watchdog's place."""
    fleet = Fleet.of(*NAMES)
    command = deploy_command(fleet, "one", SERVICE)
    earlier = replace(command, stacks=factories.stacks_of_earlier_version())
    deploy(earlier, context(fleet), quiet)
    assert [_supervisors(host) for host in fleet.hosts] == [["keeper"], ["keeper"]]
    fleet.must_serve.update(NAMES)
    return fleet, deploy_command(fleet, "two", SERVICE)


def _supervisors(host: MemoryHost) -> list[str]:
    """Returns the names of the running stacks that restart containers: there must be exactly one."""
    now_s = host.clock.monotonic()
    return [
        container.labels["py-cicd.name"]
        for container in host.engine.containers.values()
        if container.labels["py-cicd.name"] in ("keeper", "watchdog")
        if container.status(now_s) == "running"
    ]


CASES = (
    Case("first", _first, "", MORE_WAYS),
    Case("upgrade", _upgrade, ONE, MORE_WAYS),
    Case("one-more-host", _one_more_host, ONE),
    Case("after-a-kill", _after_a_kill, ONE),
    Case("renewal", _renewal, ONE, MORE_WAYS),
    Case("two-edges", _two_edges, ONE),
    Case("replaced-stack", _replaced_stack, ONE, MORE_WAYS),
)


def _arming(fault: Fault, step: Step) -> Callable[[Event], None]:
    """Returns a listener that arms the fault while the step runs for the first time."""

    def listen(event: Event) -> None:
        match event:
            case StepBegun(step=begun) if begun == step and not fault.calls:
                fault.armed = True
            case StepDone(step=ended) | StepFailed(step=ended) if ended == step:
                fault.armed = False
            case _:
                pass

    return listen


def _calls(case: Case) -> list[tuple[Step, int]]:
    """Returns each step of the case's plan, with how often it calls its host if nothing fails."""
    fleet, command = case.make()
    found: list[tuple[Step, int]] = []

    def listen(event: Event) -> None:
        if isinstance(event, StepBegun):
            fleet.calls[event.step.host] = 0
        if isinstance(event, StepDone):
            found.append((event.step, max(1, fleet.calls[event.step.host])))

    steps = plan(command, context(fleet)).steps
    deploy(command, context(fleet), listen)
    assert {step for step, _ in found} == set(steps)
    return found


def _points() -> Iterator[object]:
    for case in CASES:
        for step, calls in sorted(_calls(case), key=lambda found: found[0].host):
            name = f"{case.name}-{step.host}-{name_of(step)}"
            yield pytest.param(case, step, calls, id=name)


@pytest.mark.parametrize(("case", "step", "calls"), list(_points()))
def test_failed_step_leaves_one_complete_release(case: Case, step: Step, calls: int) -> None:
    for how, which, after in case.ways:
        fleet, command = case.make()
        before = Before.of(fleet)
        nth = which or calls
        fault = Fault(step.host, nth, how, after, armed=False)
        fleet.faults.append(fault)
        new, error = _try(fleet, command, _arming(fault, step))
        when = "after" if after else "before"
        where = f"{how.value} {when} call {nth} of {calls}: {error!r}"
        assert fleet.violations == [], where
        _ended_truthfully(fleet, before, case.old, new, error, where)
        _rerun_ends_well(fleet, command, where)


def _try(
    fleet: Fleet, command: DeployCommand, listen: Callable[[Event], None]
) -> tuple[str, BaseException | None]:
    """Returns the release that was deployed, and the error if the deploy failed."""
    desired = plan(command, context(fleet)).release
    assert desired is not None
    try:
        deploy(command, context(fleet), listen)
    except (ShipError, Killed) as error:
        return desired.id, error
    return desired.id, None


def _ended_truthfully(
    fleet: Fleet, before: Before, old: str, new: str, error: BaseException | None, where: str
) -> None:
    reached = [host for host in fleet.hosts if host.name not in fleet.gone]
    served = {host.name: now for host, now in zip(fleet.hosts, fleet.served(), strict=True)}
    serve = {served[host.name] for host in reached}
    match error:
        case None:
            assert serve == {new}, where
        case RevertedError():
            assert not fleet.gone, where
            _nothing_left(fleet, before, old, where)
        case StuckError(exit_code=4) if "is live everywhere" in str(error):
            assert serve == {new}, where
        case StuckError(exit_code=4):
            assert fleet.gone, where
            _nothing_left(fleet, before, old, where)
        case Killed():
            assert serve <= {old, new, *before.served}, where
        case _:
            pytest.fail(f"ended with {error!r}: {where}")


def _nothing_left(fleet: Fleet, before: Before, verified: str, where: str) -> None:
    """Checks that reachable hosts serve the release verified before, and that nothing of the attempt is left."""
    for host, now, edges in zip(fleet.hosts, fleet.served(), before.edges, strict=True):
        if host.name in fleet.gone:
            continue
        assert not edges or _edges(host) <= edges, where
        old = verified if host.name in before.used else ""
        containers = {c.labels.get("py-cicd.release") for c in host.engine.containers.values()}
        route = host.edge_state.route("app")
        assert now == old, where
        assert containers - {None} == {old} - {""}, where
        assert host.folders("app") == {old} - {""}, where
        assert route is None or (route.candidate, len(route.upstreams)) == (None, 1 if old else 0)
        assert host.locked_by == "", where
        assert host.name not in before.used or len(_supervisors(host)) == 1, where


def _rerun_ends_well(fleet: Fleet, command: DeployCommand, where: str) -> None:
    fleet.revive()
    result = deploy(command, context(fleet), quiet)
    assert result.outcome in ("live", "unchanged"), where
    assert set(fleet.served()) == {result.release}, where
    assert fleet.violations == [], where
    assert plan(command, context(fleet)).steps == (), where
    fleet.await_drained()
    assert fleet.violations == [], where
    assert plan(command, context(fleet)).steps == (), where
    for host in fleet.hosts:
        running = {c.labels.get("py-cicd.release") for c in host.engine.containers.values()}
        assert running - {None} == {result.release}, where
        assert _edges(host) == {command.stacks[0].key}, where
        assert _supervisors(host) == ["watchdog"], where
        assert not any(path.startswith(f"{paths.ROOT}/keeper/") for path in host.files), where
        targets = json.loads(host.files[f"{paths.TARGETS}/app.json"])
        labels = {(target["labels"]["release"], target["labels"]["track"]) for target in targets}
        assert labels == {(result.release, "stable")}, where


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(
    case=st.sampled_from(CASES),
    host=st.sampled_from(NAMES),
    nth=st.integers(1, 160),
    how=st.sampled_from([FaultKind.FAILS_ONCE, FaultKind.HALF, FaultKind.GONE]),
    killed_after=st.integers(1, 60),
)
def test_rerun_repairs_what_a_kill_during_a_revert_left(
    case: Case, host: str, nth: int, how: FaultKind, killed_after: int
) -> None:
    fleet, command = case.make()
    fault = Fault(host, nth, how, after=True)
    other = next(name for name in NAMES if name != host)
    fleet.faults += [fault, Fault(other, nth + killed_after, FaultKind.KILLED)]
    with suppress(ShipError, Killed):
        deploy(command, context(fleet), quiet)
    _rerun_ends_well(fleet, command, f"{case.name}: {fault}, killed after {killed_after}")


def test_broken_new_edge_leaves_the_old_one() -> None:
    fleet, _ = _upgrade()
    renewed = deploy_command(fleet, "two", SERVICE, stacks="2")
    fault = Fault("host-2", 1, FaultKind.FAILS, armed=False)
    fleet.faults.append(fault)
    step = next(
        step
        for step in plan(renewed, context(fleet)).steps
        if (name_of(step), step.host) == ("StartStack", "host-2")
    )
    with pytest.raises(RevertedError):
        deploy(renewed, context(fleet), _arming(fault, step))
    assert fleet.violations == []
    assert fleet.served() == [ONE] * 2
