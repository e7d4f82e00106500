"""Plans a rollout: compares the desired state with the observed fleet and returns the phases of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import assert_never

from deploy.core.config import Service, Task
from deploy.core.planning import analysis_steps, host_steps, stack_steps
from deploy.core.planning.plan import DesiredState, Holder, Phase, PhaseKind, Plan
from deploy.core.planning.steps import RecordLive, RunTask, Step, TaskName, WriteHold
from deploy.core.state.fleet import FleetState
from deploy.core.state.hold import Hold
from deploy.core.state.host import HostState
from deploy.core.state.ledger import verified
from deploy.core.state.release import Release, scaled
from deploy.core.state.stack import Stack


def adopt(
    service: Service,
    image: str,
    hashed: str,
    fleet: FleetState,
    edge: Stack | None = None,
) -> Release | None:
    """Returns the newest running release with this image and config hash, None if a new one must be made.

    So an interrupted deploy goes on with what it had started, and a changed number of replicas or another edge is the
    same release: the result has the service's number of replicas and `edge`.
    """
    found = [
        release
        for host in fleet
        for release in host.releases
        if (release.service, release.image, release.config_hash) == (service.name, image, hashed)
        and (host.edge.live(service.name) == release.id or host.replicas(service.name, release.id))
    ]
    newest = max(found, key=lambda release: release.sequence, default=None)
    return replace(scaled(newest, service.replicas), edge=edge) if newest else None


def plan_deploy(desired: DesiredState, fleet: FleetState) -> Plan:
    """Plans what brings every host to the desired state; the plan is empty if the fleet matches."""
    name, watch_s = desired.service.name, desired.service.rollout.watch_s
    reversible = (
        *_candidate(desired, fleet),
        *analysis_steps.canary(desired, fleet),
        *_switches(desired, fleet),
        Phase(PhaseKind.VERIFY, _each(_verify_the_rest, desired, fleet)),
        Phase(PhaseKind.WATCH, _watches(desired, fleet, watch_s, "all users reach it")),
        *analysis_steps.final_analysis(desired, fleet),
    )
    tidy = Phase(PhaseKind.TIDY, _each(host_steps.tidy, desired, fleet), reversible=False)
    changes = any(phase.steps for phase in (*reversible, tidy))
    record = Phase(PhaseKind.RECORD, _record(desired, fleet, changes=changes), reversible=False)
    after = _task(desired, fleet, TaskName.AFTER_SWITCH)
    phases = (*reversible, record, tidy, Phase(PhaseKind.AFTER_SWITCH, after, reversible=False))
    previous = fleet.newest_live(name, other_than=desired.release.id)
    return Plan(name, desired.release, previous, tuple(phase for phase in phases if phase.steps))


def plan_hold(desired: DesiredState, fleet: FleetState, who: Holder) -> Plan:
    """Plans a candidate that is verified on every host and waits there to be promoted.

    For a release that is live everywhere already there is nothing to hold: the plan repairs what is missing.
    """
    name, release = desired.service.name, desired.release
    if fleet.live_everywhere(name, release.id):
        return plan_deploy(desired, fleet)
    previous = fleet.newest_live(name)
    holds = tuple(
        WriteHold(host.host, _hold(desired, previous, who, host), "until it is promoted or aborted")
        for host in fleet
    )
    phases = (*_candidate(desired, fleet), Phase(PhaseKind.HOLD, holds))
    return Plan(name, release, previous, tuple(phase for phase in phases if phase.steps))


def _hold(desired: DesiredState, previous: str | None, who: Holder, host: HostState) -> Hold:
    lasts_s = desired.service.rollout.hold_s
    return Hold(
        service=desired.service.name,
        release=desired.release.id,
        previous=previous,
        who=who.who,
        since=who.since,
        expires_s=host.now_s + lasts_s,
        pipeline=who.pipeline,
    )


def _candidate(desired: DesiredState, fleet: FleetState) -> tuple[Phase, ...]:
    """Returns the phases that bring the release up beside the live one, where no user reaches it."""
    # A rollback skips the preview: this release answered when it was live.
    preview = () if desired.is_rollback else _each(host_steps.preview, desired, fleet)
    return (
        Phase(PhaseKind.PREPARE, _each(host_steps.prepare, desired, fleet)),
        Phase(PhaseKind.RENEW, _each(stack_steps.renew, desired, fleet), one_by_one=True),
        Phase(PhaseKind.BEFORE_SWITCH, _task(desired, fleet, TaskName.BEFORE_SWITCH)),
        Phase(PhaseKind.START, _each(host_steps.start, desired, fleet)),
        Phase(PhaseKind.PREVIEW, preview),
        *analysis_steps.preview_analysis(desired, fleet),
    )


def _task(desired: DesiredState, fleet: FleetState, name: TaskName) -> tuple[Step, ...]:
    """A task runs once per release, on the first host; a rollback runs none."""
    task = _task_of(desired.service, name)
    if task is None or desired.is_rollback or fleet.task_done(desired.release.id, name):
        return ()
    if name is TaskName.BEFORE_SWITCH and all(host_steps.is_live(desired, host) for host in fleet):
        return ()
    return (RunTask(fleet.hosts[0].host, desired.release, name, task, "once per release"),)


def _task_of(service: Service, name: TaskName) -> Task | None:
    match name:
        case TaskName.BEFORE_SWITCH:
            return service.tasks.before_switch
        case TaskName.AFTER_SWITCH:
            return service.tasks.after_switch
        case _:
            assert_never(name)


def _switches(desired: DesiredState, fleet: FleetState) -> Iterator[Phase]:
    """Yields the switch of the first host alone, then of batches; each batch is watched before the next one."""
    rollout = desired.service.rollout
    batches = _batches(desired, fleet.where(lambda host: not host_steps.serves(desired, host)))
    for number, batch in enumerate(batches, 1):
        position = (number, len(batches)) if len(batches) > 1 else None
        steps = _each(_switch_and_verify, desired, batch)
        yield Phase(PhaseKind.SWITCH, steps, batch=position)
        if number < len(batches):
            why = f"before the other {sum(map(len, batches[number:]))} switch"
            yield Phase(PhaseKind.PAUSE, _watches(desired, batch, rollout.batch_pause_s, why))


def _batches(desired: DesiredState, fleet: FleetState) -> tuple[FleetState, ...]:
    if desired.is_rollback:
        return (fleet,)
    size, hosts = desired.service.rollout.max_parallel, fleet.hosts
    rest = (hosts[start : start + size] for start in range(1, len(hosts), size))
    return tuple(FleetState(batch) for batch in (hosts[:1], *rest))


def _switch_and_verify(desired: DesiredState, host: HostState) -> Iterator[Step]:
    yield from host_steps.switch(desired, host)
    yield from host_steps.verify(desired, host)


def _verify_the_rest(desired: DesiredState, host: HostState) -> Iterator[Step]:
    if host_steps.serves(desired, host):
        yield from host_steps.verify(desired, host)


def _watches(
    desired: DesiredState, fleet: FleetState, watch_s: float, because: str
) -> tuple[Step, ...]:
    return tuple(
        step for host in fleet for step in host_steps.watch(desired, host, watch_s, because)
    )


def is_unfinished(desired: DesiredState, fleet: FleetState) -> bool:
    """Returns whether an earlier rollout of this release was interrupted. Unhealthy replicas alone don't count."""
    return plan_deploy(desired, fleet).has_phase(PhaseKind.TIDY)


def _each(
    plan: Callable[[DesiredState, HostState], Iterator[Step]],
    desired: DesiredState,
    fleet: FleetState,
) -> tuple[Step, ...]:
    return tuple(step for host in fleet for step in plan(desired, host))


def _record(desired: DesiredState, fleet: FleetState, *, changes: bool) -> tuple[Step, ...]:
    """All hosts get the record if one of them lacks it or if the plan changes anything: ledgers stay equal."""
    name, release = desired.service.name, desired.release
    known = [verified(host.ledger, name) for host in fleet]
    same = all(entries and entries[-1].release == release.id for entries in known)
    if same and not changes and fleet.last_verified(name) == release.id:
        return ()
    because = "rollback target: verified from outside"
    return tuple(RecordLive(host.host, release, because) for host in fleet)
