"""Deploys to two hundred hosts, any of which fails at any step: the fleet is never mixed at the end.

hypothesis chooses the host, the step and the kind of failure; faults_test.py has every combination on two hosts. One
example takes seconds, so by default there are five, always the same. MANY_HOSTS_SEED, a number in the environment,
selects 200 others; the nightly pipeline sets it to its own number.
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
    Result,
    RevertedError,
    StuckError,
    deploy,
    plan,
)
from deploy.run.rollout.events import Event, StepBegun
from deploy.run.rollout.rollout_fixture import context, deploy_command, quiet
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
SERVICE = factories.service(replicas=1)


@cache
def _built() -> tuple[Fleet, DeployCommand, str, tuple[str, ...]]:
    """Returns hosts that serve one release, the next command, the live release, and the kinds of steps."""
    fleet = Fleet.of(*NAMES)
    fleet.wide = False
    old = deploy(deploy_command(fleet, "one", SERVICE), context(fleet), quiet).release
    fleet.must_serve.update(NAMES)
    command = deploy_command(fleet, "two", SERVICE)
    steps = plan(command, context(fleet)).steps
    return fleet, command, old, tuple(dict.fromkeys(name_of(step) for step in steps))


def _arming(fault: Fault, step: str) -> Callable[[Event], None]:
    """Returns a listener that arms the fault once the step begins on its host."""

    def listen(found: Event) -> None:
        if isinstance(found, StepBegun) and (found.step.host, name_of(found.step)) == (
            fault.host,
            step,
        ):
            fault.armed = True

    return listen


def _try(
    fleet: Fleet, command: DeployCommand, listen: Callable[[Event], None]
) -> Result | ShipError | Killed:
    try:
        return deploy(command, context(fleet), listen)
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
def test_fleet_is_not_mixed_after_any_host_failed_at_any_step(
    host: str, turn: int, how: FaultKind, after: bool
) -> None:
    built, command, old, steps = _built()
    fleet, step = copy.deepcopy(built), steps[turn % len(steps)]
    fault = Fault(host, 1, how, after, armed=False)
    fleet.faults.append(fault)
    ended = _try(fleet, command, _arming(fault, step))
    where = f"{how.value} {'after' if after else 'before'} {step} of {host}: {ended!r}"
    event(f"{step}: {type(ended).__name__}")
    assert fleet.violations == [], where
    reached = {
        served
        for reachable, served in zip(fleet.hosts, fleet.served(), strict=True)
        if reachable.name not in fleet.gone
    }
    if isinstance(ended, RevertedError):
        assert reached == {old}, where
    elif isinstance(ended, StuckError):
        assert len(reached) == 1, where
        assert host in ended.message or "is live everywhere" in ended.message, where
    elif isinstance(ended, Killed):
        assert len(reached) in (1, 2), where
    else:
        assert isinstance(ended, Result), where
        assert reached == {ended.release}, where
    fleet.revive()
    rerun = deploy(command, context(fleet), quiet)
    assert set(fleet.served()) == {rerun.release}, where
    assert fleet.violations == [], where
    assert plan(command, context(fleet)).steps == (), where


def test_plan_that_is_broken_has_the_steps_of_an_upgrade() -> None:
    _, _, _, steps = _built()
    assert {"PullImages", "WriteRelease", "PointTraffic", "RecordLive", "BeginDraining"} <= {*steps}
