"""Every step of every plan breaks in turn, in every way we know, and what must hold is looked at after each command.

The cases come from the plans themselves: a new step is covered without anybody thinking of it.
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
from deploy.core.state.edge import parse_edge
from deploy.errors import ShipError
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
    StepBegun,
    StepDone,
    StepFailed,
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


def context(fleet: Fleet) -> DeployContext:
    return DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)


def go(
    fleet: Fleet, request: DeployCommand, tell: Callable[[Event], None] = lambda event: None
) -> Outcome:
    return deploy(request, context(fleet), tell)


def asking(fleet: Fleet, label: str, *, stacks: str = "1", color: str = "") -> DeployCommand:
    """Asks for the image of this label, and makes it pullable with what runs beside it."""
    request = DeployCommand(
        factories.service(replicas=2, color=color),
        factories.image(label),
        factories.REPLICA,
        factories.stacks(stacks),
        factories.ORIGIN,
    )
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    return request


@dataclass(frozen=True)
class Comparison:
    """A fleet, what runs on it, and what is asked for. `old` is what serves before, "" for nothing."""

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
    """What a fleet's hosts served, which of them had ever been deployed to, and by which edges they served."""

    served: tuple[str, ...]
    used: frozenset[str]
    edges: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, fleet: Fleet) -> Before:
        used = (host.name for host in fleet.hosts if locks.LEDGER in host.files)
        edges = tuple(_edges(host) for host in fleet.hosts)
        return cls(tuple(fleet.served()), frozenset(used), edges)


def _edges(host: MemoryHost) -> frozenset[str]:
    """The keys of the edges that a host runs; of each it must hold the files."""
    found = [c.labels for c in host.engine.containers.values()]
    return frozenset(labels["py-cicd.key"] for labels in found if labels["py-cicd.name"] == "edge")


def _first() -> tuple[Fleet, DeployCommand]:
    fleet = Fleet.of(*NAMES)
    return fleet, asking(fleet, "one")


def _upgrade() -> tuple[Fleet, DeployCommand]:
    fleet = Fleet.of(*NAMES)
    go(fleet, asking(fleet, "one"))
    fleet.must_serve.update(NAMES)
    return fleet, asking(fleet, "two")


def _one_more_host() -> tuple[Fleet, DeployCommand]:
    fleet = Fleet.of(NAMES[0])
    go(fleet, asking(fleet, "one"))
    fleet.must_serve.add(NAMES[0])
    fleet.add(NAMES[1])
    return fleet, asking(fleet, "two")


def _after_a_kill() -> tuple[Fleet, DeployCommand]:
    """The deploy before was killed when host-1 had switched and host-2 had not."""
    fleet, request = _upgrade()
    with pytest.raises(Killed):
        go(fleet, request, _kill_at(fleet, "PointTraffic", "host-2"))
    fleet.revive()
    return fleet, asking(fleet, "three")


def _renewal() -> tuple[Fleet, DeployCommand]:
    """A release that comes with another edge."""
    fleet, _ = _upgrade()
    return fleet, asking(fleet, "two", stacks="2")


def _two_edges() -> tuple[Fleet, DeployCommand]:
    """The deploy before was killed when both edges served on host-1; now a third comes with yet another release."""
    fleet, request = _renewal()
    with pytest.raises(Killed):
        go(fleet, request, _kill_at(fleet, "StartStack", "host-2"))
    assert len(_edges(fleet["host-1"])) == 2
    fleet.revive()
    return fleet, asking(fleet, "three", stacks="3")


def _replaced_stack() -> tuple[Fleet, DeployCommand]:
    """An upgrade of hosts that an earlier version of the tool set up, with a keeper in the watchdog's place."""
    fleet = Fleet.of(*NAMES)
    go(fleet, replace(asking(fleet, "one"), stacks=factories.stacks_of_earlier_version()))
    assert [_supervisors(host) for host in fleet.hosts] == [["keeper"], ["keeper"]]
    fleet.must_serve.update(NAMES)
    return fleet, asking(fleet, "two")


def _supervisors(host: MemoryHost) -> list[str]:
    """The names of what restarts containers on a host: exactly one of these must run."""
    now_s = host.clock.monotonic()
    return [
        container.labels["py-cicd.name"]
        for container in host.engine.containers.values()
        if container.labels["py-cicd.name"] in ("keeper", "watchdog")
        if container.status(now_s) == "running"
    ]


CASES = (
    Comparison("first", _first, "", MORE_WAYS),
    Comparison("upgrade", _upgrade, "r000001-3f9c2ab", MORE_WAYS),
    Comparison("one-more-host", _one_more_host, "r000001-3f9c2ab"),
    Comparison("after-a-kill", _after_a_kill, "r000001-3f9c2ab"),
    Comparison("renewal", _renewal, "r000001-3f9c2ab", MORE_WAYS),
    Comparison("two-edges", _two_edges, "r000001-3f9c2ab"),
    Comparison("replaced-stack", _replaced_stack, "r000001-3f9c2ab", MORE_WAYS),
)


def _kill_at(fleet: Fleet, step: str, host: str) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if isinstance(event, StepBegun) and (name_of(event.step), event.step.host) == (step, host):
            fleet.faults.append(Fault(host, 1, FaultKind.KILLED))

    return tell


def _arming(fault: Fault, step: Step) -> Callable[[Event], None]:
    """Arms the fault for as long as the step runs the first time."""

    def tell(event: Event) -> None:
        match event:
            case StepBegun(step=each) if each == step and not fault.calls:
                fault.armed = True
            case StepDone(step=each) | StepFailed(step=each) if each == step:
                fault.armed = False
            case _:
                pass

    return tell


def _touches(case: Comparison) -> list[tuple[Step, int]]:
    """Each step of the case's plan, with how often it touches its host when all goes well."""
    fleet, request = case.make()
    found: list[tuple[Step, int]] = []

    def tell(event: Event) -> None:
        if isinstance(event, StepBegun):
            fleet.touches[event.step.host] = 0
        if isinstance(event, StepDone):
            found.append((event.step, max(1, fleet.touches[event.step.host])))

    steps = plan(request, context(fleet)).steps
    go(fleet, request, tell)
    assert {step for step, _ in found} == set(steps)
    return found


def _points() -> Iterator[object]:
    for case in CASES:
        for step, touches in sorted(_touches(case), key=lambda each: each[0].host):
            name = f"{case.name}-{step.host}-{name_of(step)}"
            yield pytest.param(case, step, touches, id=name)


@pytest.mark.parametrize(("case", "step", "touches"), list(_points()))
def test_a_step_that_breaks_leaves_one_whole_release(
    case: Comparison, step: Step, touches: int
) -> None:
    for how, which, after in case.ways:
        fleet, request = case.make()
        before = Before.of(fleet)
        nth = which or touches
        fault = Fault(step.host, nth, how, after, armed=False)
        fleet.faults.append(fault)
        new, error = _try(fleet, request, _arming(fault, step))
        when = "after" if after else "before"
        where = f"{how.value} {when} touch {nth} of {touches}: {error!r}"
        assert fleet.violations == [], where
        _ended_truthfully(fleet, before, case.old, new, error, where)
        _rerun_ends_well(fleet, request, where)


def _try(
    fleet: Fleet, request: DeployCommand, tell: Callable[[Event], None]
) -> tuple[str, BaseException | None]:
    """Returns the release that was tried, and what the deploy ended with if it didn't end well."""
    desired = plan(request, context(fleet)).release
    assert desired is not None
    try:
        go(fleet, request, tell)
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
    """Hosts that answer serve what was verified before, and hold nothing of the attempt."""
    for host, now, edges in zip(fleet.hosts, fleet.served(), before.edges, strict=True):
        if host.name in fleet.gone:
            continue
        assert not edges or _edges(host) <= edges, where
        old = verified if host.name in before.used else ""
        containers = {c.labels.get("py-cicd.release") for c in host.engine.containers.values()}
        route = parse_edge(host.files.get(paths.ROUTES, b"").decode()).route("app")
        assert now == old, where
        assert containers - {None} == {old} - {""}, where
        assert host.folders("app") == {old} - {""}, where
        assert route is None or (route.candidate, len(route.upstreams)) == ("", 1 if old else 0)
        assert host.locked_by == "", where
        assert host.name not in before.used or len(_supervisors(host)) == 1, where


def _rerun_ends_well(fleet: Fleet, request: DeployCommand, where: str) -> None:
    fleet.revive()
    outcome = go(fleet, request)
    assert outcome.outcome in ("live", "unchanged"), where
    assert set(fleet.served()) == {outcome.release}, where
    assert fleet.violations == [], where
    assert plan(request, context(fleet)).steps == (), where
    for host in fleet.hosts:
        running = {c.labels.get("py-cicd.release") for c in host.engine.containers.values()}
        assert running - {None} == {outcome.release}, where
        assert _edges(host) == {request.stacks[0].key}, where
        assert _supervisors(host) == ["watchdog"], where
        assert not any(path.startswith(f"{paths.ROOT}/keeper/") for path in host.files), where
        targets = json.loads(host.files[f"{paths.TARGETS}/app.json"])
        labels = {(each["labels"]["release"], each["labels"]["track"]) for each in targets}
        assert labels == {(outcome.release, "stable")}, where


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
def test_a_kill_on_the_way_back_is_made_good_by_a_rerun(
    case: Comparison, host: str, nth: int, how: FaultKind, killed_after: int
) -> None:
    fleet, request = case.make()
    fault = Fault(host, nth, how, after=True)
    other = next(name for name in NAMES if name != host)
    fleet.faults += [fault, Fault(other, nth + killed_after, FaultKind.KILLED)]
    with suppress(ShipError, Killed):
        go(fleet, request)
    _rerun_ends_well(fleet, request, f"{case.name}: {fault}, killed after {killed_after}")


def test_a_broken_new_edge_leaves_the_old_one() -> None:
    fleet, request = _upgrade()
    renewed = replace(request, stacks=factories.stacks("2"))
    fleet.images.update(stack.image for stack in renewed.stacks)
    fault = Fault("host-2", 1, FaultKind.FAILS, armed=False)
    fleet.faults.append(fault)
    step = next(
        step
        for step in plan(renewed, context(fleet)).steps
        if (name_of(step), step.host) == ("StartStack", "host-2")
    )
    with pytest.raises(RevertedError):
        go(fleet, renewed, _arming(fault, step))
    assert fleet.violations == []
    assert fleet.served() == ["r000001-3f9c2ab"] * 2
