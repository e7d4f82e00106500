"""Decides how a release takes over, and alone does: from what is wanted and what was seen to a plan; never does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from deploy.core.config import Service, Task
from deploy.core.planning import (
    analysis_steps,
    host_steps,
    stack_steps,
)
from deploy.core.planning.plan import (
    DesiredState,
    Holder,
    Phase,
    Plan,
)
from deploy.core.planning.steps import (
    RecordLive,
    RunTask,
    Step,
    WriteHold,
)
from deploy.core.state.fleet import FleetState
from deploy.core.state.hold import Hold
from deploy.core.state.host import HostState
from deploy.core.state.ledger import verified
from deploy.core.state.release import (
    Release,
    scaled,
    sequence_of,
)
from deploy.core.state.stack import Stack


def adopt(
    service: Service,
    image: str,
    hashed: str,
    fleet: FleetState,
    edge: Stack | None = None,
) -> Release | None:
    """Returns the newest release that runs somewhere and is what is wanted; None if one must be made.

    A deploy that was killed half way is finished this way: what it had started is adopted, not started again. So is
    a change of scale: the same release with as many replicas as are wanted. And of the edge: it is served through
    another one from now on.
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
    """Plans what brings every host to the wanted release; empty if every host already is there."""
    rollout = desired.service.rollout
    reversible = (
        *_candidate(desired, fleet),
        *analysis_steps.with_a_share(desired, fleet),
        *_switches(desired, fleet),
        Phase("verify", _each(_verify_the_rest, desired, fleet)),
        Phase("gate", _watches(desired, fleet, rollout.watch_s, "it is judged under its users")),
        *analysis_steps.under_users(desired, fleet),
    )
    tidy = Phase("tidy", _each(host_steps.tidy, desired, fleet), reversible=False)
    changes = any(phase.steps for phase in (*reversible, tidy))
    record = Phase("record", _record(desired, fleet, changes=changes), reversible=False)
    name = desired.service.name
    live = {host.edge.live(name) for host in fleet} - {"", desired.release.id}
    previous = max(live, key=sequence_of, default="")
    after = Phase("after", _task(desired, fleet, "after_switch"), reversible=False)
    phases = (*reversible, record, tidy, after)
    return Plan(name, desired.release, previous, tuple(phase for phase in phases if phase.steps))


def plan_hold(desired: DesiredState, fleet: FleetState, who: Holder) -> Plan:
    """Plans a candidate that is verified on every host and waits there; a release that is live is only mended."""
    name, release = desired.service.name, desired.release
    if all(host.edge.live(name) == release.id for host in fleet):
        return plan_deploy(desired, fleet)
    previous = max({host.edge.live(name) for host in fleet} - {""}, key=sequence_of, default="")
    holds = tuple(
        WriteHold(host.host, _hold(desired, previous, who, host), "it waits to be promoted")
        for host in fleet
    )
    phases = (*_candidate(desired, fleet), Phase("hold", holds))
    return Plan(name, release, previous, tuple(phase for phase in phases if phase.steps))


def _hold(desired: DesiredState, previous: str, who: Holder, host: HostState) -> Hold:
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
    """What brings the release up beside whatever serves; no user sees any of it."""
    return (
        Phase("prepare", _each(host_steps.prepare, desired, fleet)),
        Phase("renew", _each(stack_steps.renew, desired, fleet), one_by_one=True),
        Phase("before", _task(desired, fleet, "before_switch")),
        Phase("start", _each(host_steps.start, desired, fleet)),
        # What was live before was seen answering then, and whoever goes back has no time.
        Phase("preview", _each(host_steps.preview, desired, fleet) if desired.judged else ()),
        *analysis_steps.before_users(desired, fleet),
    )


def _task(desired: DesiredState, fleet: FleetState, name: str) -> tuple[Step, ...]:
    """A task runs once a release, on the first host; on the way back to an older one none does."""
    task: Task | None = getattr(desired.service.tasks, name)
    if task is None or not desired.judged or fleet.task_done(desired.release.id, name):
        return ()
    if name == "before_switch" and all(host_steps.is_live(desired, host) for host in fleet):
        return ()
    return (RunTask(fleet.hosts[0].host, desired.release, name, task, "once a release"),)


def _switches(desired: DesiredState, fleet: FleetState) -> Iterator[Phase]:
    """The first host alone, then batches; a batch that has switched is watched before the next one does."""
    rollout = desired.service.rollout
    batches = _batches(desired, fleet.where(lambda host: not host_steps.serves(desired, host)))
    for number, batch in enumerate(batches, 1):
        name = "switch" if len(batches) == 1 else f"switch {number} of {len(batches)}"
        yield Phase(name, _each(_switch_and_verify, desired, batch))
        if number < len(batches):
            why = f"the other {sum(map(len, batches[number:]))} wait for it"
            yield Phase("pause", _watches(desired, batch, rollout.batch_pause_s, why))


def _batches(desired: DesiredState, fleet: FleetState) -> tuple[FleetState, ...]:
    if not desired.judged:
        return (fleet,)
    most, hosts = desired.service.rollout.max_parallel, fleet.hosts
    rest = (hosts[start : start + most] for start in range(1, len(hosts), most))
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


def half_done(desired: DesiredState, fleet: FleetState) -> bool:
    """True if some host has not even what a deploy of this does last; a replica that ails is no such thing."""
    return any(phase.name == "tidy" for phase in plan_deploy(desired, fleet).phases)


def _each(
    make: Callable[[DesiredState, HostState], Iterator[Step]],
    desired: DesiredState,
    fleet: FleetState,
) -> tuple[Step, ...]:
    return tuple(step for host in fleet for step in make(desired, host))


def _record(desired: DesiredState, fleet: FleetState, *, changes: bool) -> tuple[Step, ...]:
    """Every host's ledger says the same: where one lacks the record or anything else is done, all get it."""
    name, release = desired.service.name, desired.release
    known = [verified(host.ledger, name) for host in fleet]
    same = all(entries and entries[-1].release == release.id for entries in known)
    if same and not changes and fleet.last_verified(name) == release.id:
        return ()
    because = "the way back is to what answered from outside"
    return tuple(RecordLive(host.host, release, because) for host in fleet)
