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
    Holder,
    Phase,
    Plan,
    Wanted,
)
from deploy.core.planning.steps import (
    RecordLive,
    RunTask,
    Step,
    WriteHold,
)
from deploy.core.state.hold import Hold
from deploy.core.state.ledger import verified
from deploy.core.state.observed import (
    Observed,
    last_verified,
    task_done,
)
from deploy.core.state.release import (
    Release,
    scaled,
    sequence_of,
)
from deploy.core.state.stack import Part


def adopt(
    service: Service,
    image: str,
    hashed: str,
    observed: tuple[Observed, ...],
    edge: Part | None = None,
) -> Release | None:
    """Returns the newest release that runs somewhere and is what is wanted; None if one must be made.

    A deploy that was killed half way is finished this way: what it had started is adopted, not started again. So is
    a change of scale: the same release with as many replicas as are wanted. And of the edge: it is served through
    another one from now on.
    """
    found = [
        release
        for host in observed
        for release in host.releases
        if (release.service, release.image, release.config_hash) == (service.name, image, hashed)
        and (host.edge.live(service.name) == release.id or host.replicas(service.name, release.id))
    ]
    newest = max(found, key=lambda release: release.sequence, default=None)
    return replace(scaled(newest, service.replicas), edge=edge) if newest else None


def plan_deploy(wanted: Wanted, observed: tuple[Observed, ...]) -> Plan:
    """Plans what brings every host to the wanted release; empty if every host already is there."""
    rollout = wanted.service.rollout
    reversible = (
        *_candidate(wanted, observed),
        *analysis_steps.with_a_share(wanted, observed),
        *_switches(wanted, observed),
        Phase("verify", _each(_verify_the_rest, wanted, observed)),
        Phase("gate", _watches(wanted, observed, rollout.watch_s, "it is judged under its users")),
        *analysis_steps.under_users(wanted, observed),
    )
    tidy = Phase("tidy", _each(host_steps.tidy, wanted, observed), reversible=False)
    changes = any(phase.steps for phase in (*reversible, tidy))
    record = Phase("record", _record(wanted, observed, changes=changes), reversible=False)
    name = wanted.service.name
    live = {host.edge.live(name) for host in observed} - {"", wanted.release.id}
    previous = max(live, key=sequence_of, default="")
    after = Phase("after", _task(wanted, observed, "after_switch"), reversible=False)
    phases = (*reversible, record, tidy, after)
    return Plan(name, wanted.release, previous, tuple(phase for phase in phases if phase.steps))


def plan_hold(wanted: Wanted, observed: tuple[Observed, ...], who: Holder) -> Plan:
    """Plans a candidate that is verified on every host and waits there; a release that is live is only mended."""
    name, release = wanted.service.name, wanted.release
    if all(host.edge.live(name) == release.id for host in observed):
        return plan_deploy(wanted, observed)
    previous = max({host.edge.live(name) for host in observed} - {""}, key=sequence_of, default="")
    holds = tuple(
        WriteHold(host.host, _hold(wanted, previous, who, host), "it waits to be promoted")
        for host in observed
    )
    phases = (*_candidate(wanted, observed), Phase("hold", holds))
    return Plan(name, release, previous, tuple(phase for phase in phases if phase.steps))


def _hold(wanted: Wanted, previous: str, who: Holder, host: Observed) -> Hold:
    lasts_s = wanted.service.rollout.hold_s
    return Hold(
        service=wanted.service.name,
        release=wanted.release.id,
        previous=previous,
        who=who.who,
        since=who.since,
        expires_s=host.now_s + lasts_s,
        pipeline=who.pipeline,
    )


def _candidate(wanted: Wanted, observed: tuple[Observed, ...]) -> tuple[Phase, ...]:
    """What brings the release up beside whatever serves; no user sees any of it."""
    return (
        Phase("prepare", _each(host_steps.prepare, wanted, observed)),
        Phase("renew", _each(stack_steps.renew, wanted, observed), one_by_one=True),
        Phase("before", _task(wanted, observed, "before_switch")),
        Phase("start", _each(host_steps.start, wanted, observed)),
        # What was live before was seen answering then, and whoever goes back has no time.
        Phase("preview", _each(host_steps.preview, wanted, observed) if wanted.judged else ()),
        *analysis_steps.before_users(wanted, observed),
    )


def _task(wanted: Wanted, observed: tuple[Observed, ...], name: str) -> tuple[Step, ...]:
    """A task runs once a release, on the first host; on the way back to an older one none does."""
    task: Task | None = getattr(wanted.service.tasks, name)
    if task is None or not wanted.judged or task_done(observed, wanted.release.id, name):
        return ()
    if name == "before_switch" and all(host_steps.is_live(wanted, host) for host in observed):
        return ()
    return (RunTask(observed[0].host, wanted.release, name, task, "once a release"),)


def _switches(wanted: Wanted, observed: tuple[Observed, ...]) -> Iterator[Phase]:
    """The first host alone, then batches; a batch that has switched is watched before the next one does."""
    rollout = wanted.service.rollout
    batches = _batches(
        wanted, tuple(host for host in observed if not host_steps.serves(wanted, host))
    )
    for number, batch in enumerate(batches, 1):
        name = "switch" if len(batches) == 1 else f"switch {number} of {len(batches)}"
        yield Phase(name, _each(_switch_and_verify, wanted, batch))
        if number < len(batches):
            why = f"the other {sum(map(len, batches[number:]))} wait for it"
            yield Phase("pause", _watches(wanted, batch, rollout.batch_pause_s, why))


def _batches(wanted: Wanted, hosts: tuple[Observed, ...]) -> tuple[tuple[Observed, ...], ...]:
    if not wanted.judged:
        return (hosts,)
    most = wanted.service.rollout.max_parallel
    rest = (hosts[start : start + most] for start in range(1, len(hosts), most))
    return (hosts[:1], *rest)


def _switch_and_verify(wanted: Wanted, host: Observed) -> Iterator[Step]:
    yield from host_steps.switch(wanted, host)
    yield from host_steps.verify(wanted, host)


def _verify_the_rest(wanted: Wanted, host: Observed) -> Iterator[Step]:
    if host_steps.serves(wanted, host):
        yield from host_steps.verify(wanted, host)


def _watches(
    wanted: Wanted, observed: tuple[Observed, ...], watch_s: float, because: str
) -> tuple[Step, ...]:
    return tuple(
        step for host in observed for step in host_steps.watch(wanted, host, watch_s, because)
    )


def half_done(wanted: Wanted, observed: tuple[Observed, ...]) -> bool:
    """True if some host has not even what a deploy of this does last; a replica that ails is no such thing."""
    return any(phase.name == "tidy" for phase in plan_deploy(wanted, observed).phases)


def _each(
    make: Callable[[Wanted, Observed], Iterator[Step]],
    wanted: Wanted,
    observed: tuple[Observed, ...],
) -> tuple[Step, ...]:
    return tuple(step for host in observed for step in make(wanted, host))


def _record(wanted: Wanted, observed: tuple[Observed, ...], *, changes: bool) -> tuple[Step, ...]:
    """Every host's ledger says the same: where one lacks the record or anything else is done, all get it."""
    name, release = wanted.service.name, wanted.release
    known = [verified(host.ledger, name) for host in observed]
    same = all(entries and entries[-1].release == release.id for entries in known)
    if same and not changes and last_verified(observed, name) == release.id:
        return ()
    because = "the way back is to what answered from outside"
    return tuple(RecordLive(host.host, release, because) for host in observed)
