"""Puts the damaged records of one host right, while it serves: the edge's state and the ledger."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from deploy.core.analysis.access_log import VERIFICATION_ID
from deploy.core.commands import edge_state
from deploy.core.config import Edge
from deploy.core.ports import Answer, Clock, Host
from deploy.core.state.edge import (
    GENERATION_LENGTH,
    EdgeState,
    direct_path,
    generation_of,
    parse_state,
)
from deploy.core.state.host import HostState
from deploy.core.state.ledger import Entry, EntryEvent
from deploy.core.state.rebuilt_edge import Answered, rebuild, running_records, services_of
from deploy.errors import RecordError
from deploy.run.hosts.locking import lock_hosts
from deploy.run.hosts.observe import damage_of, read_host
from deploy.run.steps.edges import running_generation, set_state

VERB = "host repair"


def repair(
    host: Host, edge: Edge, *, who: str, pipeline: str, clock: Clock, say: Callable[[str], None]
) -> tuple[str, ...]:
    """Puts the records of a host right and returns what was done, empty if nothing is damaged.

    Raises RecordError if the records are of a newer version, or if it can't be told what is live; nothing was changed
    then. Raises LockedError, CommandError and VerifyError.
    """
    with lock_hosts([host], who=who, verb=VERB, pipeline=pipeline, clock=clock, say=say) as hosts:
        found = read_host(host)
        if any(damage.newer for damage in found.damage):
            raise damage_of(found)
        entry = Entry(0, clock.now(), who, VERB, "", "", 0, EntryEvent.EFFECT, pipeline=pipeline)
        locked, done = hosts[host.name].for_operation(entry), []
        for damage in found.damage:
            if damage.of_edge:
                left = running_generation(host, edge.preview_port)
                state, source = _state(host, edge, found, left)
                set_state(
                    locked,
                    clock,
                    state,
                    left or generation_of(EdgeState()),
                    edge,
                    "repairing routes",
                )
                done.append(f"rebuilt the edge's state from {source}")
            else:
                newest = max((release.sequence for release in found.releases), default=0)
                event = EntryEvent.REPAIRED
                locked.record(replace(entry, event=event, sequence=newest, what=damage.what))
                done.append(f"began the ledger anew: {damage.what}")
        return tuple(done)


def _state(host: Host, edge: Edge, found: HostState, generation: str) -> tuple[EdgeState, str]:
    """Returns the state that nginx runs, and where it is from."""
    if re.fullmatch(f"[0-9a-f]{{{GENERATION_LENGTH}}}", generation):
        stored = host.run(edge_state.stored(generation))
        try:
            state = parse_state(stored.stdout)
            if stored.code == 0 and generation_of(state) == generation:
                return state, "the file of the state that nginx runs"
        except ValueError:
            pass  # the file is missing or damaged, too
    try:
        answered = {
            service: _answered(host, edge, found, service) for service in services_of(found)
        }
        return rebuild(found, answered), "the release records and what nginx answers"
    except ValueError as error:
        raise RecordError(
            f"{host.name}: the edge's state can't be rebuilt, it can't be told {error}; nothing was changed",
            hint=f"./ship history shows what was live; put back {host.name}'s files from a backup",
        ) from error


def _answered(host: Host, edge: Edge, found: HostState, service: str) -> Answered:
    """Asks nginx for every release of the service, and at every address that one of its records names."""
    records = running_records(found, service)
    routed = {
        record.id
        for record in records
        if _release(_get(host, edge.preview_port, direct_path(service, record.id), "")) == record.id
    }
    names = {record.id for record in records}
    answered = Answered(routed=frozenset(routed))
    for record in reversed(records):
        path, name = record.route.path.rstrip("/"), record.route.host
        public = _get(host, edge.http_port, path, name)
        if public.status == 503 and "retry-after" in public.headers:
            answered = replace(answered, maintenance=True)
        if answered.live is None and _release(public) in names:
            answered = replace(answered, live=_release(public))
        preview = _release(_get(host, edge.preview_port, path, name))
        if answered.preview is None and preview in names:
            answered = replace(answered, preview=preview)
    return answered


def _get(host: Host, port: int, path: str, name: str) -> Answer:
    headers = {"X-Request-Id": VERIFICATION_ID, **({"Host": name} if name else {})}
    return host.fetch(port, f"{path}/version", headers=headers)


def _release(answer: Answer) -> str | None:
    return answer.headers.get("x-release")
