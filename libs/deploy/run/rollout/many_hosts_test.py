"""Two hundred hosts, and any one of them fails at any step: the fleet is never mixed at the end.

hypothesis chooses the host, the step and the way; faults_test.py has every combination on two hosts. A case takes
seconds, so a change gets the same few; MANY_HOSTS_SEED, a number, asks for 200 others, as the pipeline does each night
with its own: the same number gives the same ones.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from functools import cache

from hypothesis import HealthCheck, event, given, seed, settings
from hypothesis import strategies as st

from deploy.core.planning.steps import name_of
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
from deploy.run.rollout.events import Event, StepBegun
from deploy.testing import factories
from deploy.testing.fleet.faults import (
    Fault,
    FaultKind,
    Killed,
)
from deploy.testing.fleet.fleet import Fleet

HOSTS = 200
SEED = os.environ.get("MANY_HOSTS_SEED", "")
NAMES = tuple(f"host-{number:03d}" for number in range(1, HOSTS + 1))


def _world(fleet: Fleet) -> DeployContext:
    return DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)


def _ask(fleet: Fleet, label: str) -> DeployCommand:
    service = factories.service(replicas=1)
    request = DeployCommand(
        service, factories.image(label), factories.REPLICA, factories.stacks("1"), factories.ORIGIN
    )
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    return request


@cache
def _built() -> tuple[Fleet, DeployCommand, str, tuple[str, ...]]:
    """Two hundred hosts that serve one release, what is asked of them next, and the steps of each."""
    fleet = Fleet.of(*NAMES)
    fleet.wide = False
    old = deploy(_ask(fleet, "one"), _world(fleet), lambda _: None).release
    fleet.must_serve.update(NAMES)
    request = _ask(fleet, "two")
    steps = plan(request, _world(fleet)).steps
    return fleet, request, old, tuple(dict.fromkeys(name_of(step) for step in steps))


def _arming(fault: Fault, step: str) -> Callable[[Event], None]:
    """Arms the fault once the step begins on its host, for as long as the deploy lasts."""

    def tell(each: Event) -> None:
        if isinstance(each, StepBegun) and (each.step.host, name_of(each.step)) == (
            fault.host,
            step,
        ):
            fault.armed = True

    return tell


def _try(
    fleet: Fleet, request: DeployCommand, tell: Callable[[Event], None]
) -> Outcome | ShipError | Killed:
    try:
        return deploy(request, _world(fleet), tell)
    except (ShipError, Killed) as error:
        return error


@seed(int(SEED or "0"))
@settings(
    max_examples=200 if SEED else 5,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    host=st.sampled_from(NAMES),
    turn=st.integers(0, 99),
    how=st.sampled_from(
        [FaultKind.FAILS, FaultKind.FAILS_ONCE, FaultKind.HALF, FaultKind.GONE, FaultKind.KILLED]
    ),
    after=st.booleans(),
)
def test_any_host_fails_at_any_step(host: str, turn: int, how: FaultKind, after: bool) -> None:
    built, request, old, steps = _built()
    fleet, step = copy.deepcopy(built), steps[turn % len(steps)]
    fault = Fault(host, 1, how, after, armed=False)
    fleet.faults.append(fault)
    ended = _try(fleet, request, _arming(fault, step))
    where = f"{how.value} {'after' if after else 'before'} {step} of {host}: {ended!r}"
    event(f"{step}: {type(ended).__name__}")
    assert fleet.violations == [], where
    reached = {
        served
        for each, served in zip(fleet.hosts, fleet.served(), strict=True)
        if each.name not in fleet.gone
    }
    if isinstance(ended, RevertedError):
        assert reached == {old}, where
    elif isinstance(ended, StuckError):
        assert len(reached) == 1, where
        assert host in ended.message or "is live everywhere" in ended.message, where
    elif isinstance(ended, Killed):
        assert len(reached) in (1, 2), where
    else:
        assert isinstance(ended, Outcome), where
        assert reached == {ended.release}, where
    fleet.revive()
    again = deploy(request, _world(fleet), lambda _: None)
    assert set(fleet.served()) == {again.release}, where
    assert fleet.violations == [], where
    assert plan(request, _world(fleet)).steps == (), where


def test_every_kind_of_step_is_in_a_plan_that_is_broken() -> None:
    """What a deploy of an upgrade does is what is chosen from."""
    _, _, _, steps = _built()
    assert {"PullImages", "WriteRelease", "PointTraffic", "RecordLive", "StopRelease"} <= {*steps}
