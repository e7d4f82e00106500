"""Waits, after an operation, until the hosts have stopped the replicas that it replaced."""

from __future__ import annotations

from deploy.core.commands import draining
from deploy.core.ports import Host
from deploy.core.state.draining import OVERDUE_AFTER_S, Draining, parse_draining
from deploy.errors import CommandError
from deploy.run.hosts.fanout import on_every
from deploy.run.hosts.locked_host import last_line
from deploy.run.hosts.waiting import wait_until
from deploy.run.queries.history import drain_of, history
from deploy.run.rollout.context import DeployContext, Result, StuckError
from deploy.run.rollout.events import Listener, Message

POLL_EVERY_S = 1.0


def await_drained(context: DeployContext, result: Result, emit: Listener) -> None:
    """Waits until no replica of the result's service drains on any host, then says what that took.

    Raises StuckError if a host doesn't finish in time.
    """
    service = result.service
    found = drains(context, service)
    if not found:
        return
    lasts_s = max(drain.deadline_s - drain.begun_s for _, drain in found)
    replicas = sum(len(drain.replicas) for _, drain in found)
    emit(Message(None, f"waiting for {replicas} replicas to drain, at most {lasts_s:g} s"))
    if not wait_until(
        lambda: not drains(context, service),
        context.clock,
        deadline_s=lasts_s + OVERDUE_AFTER_S,
        every_s=POLL_EVERY_S,
    ):
        names = ", ".join(f"{host} {drain.release}" for host, drain in drains(context, service))
        raise StuckError(
            f"{result.release} is live everywhere, but replicas that it replaced still run: {names}",
            result=result,
            hint=f"./ship deploy {service} stops them itself; ./ship status {service} shows each host",
        )
    ended = drain_of(history(context.hosts, service))
    if ended is not None:
        cut = f"; {ended.cut} requests were cut" if ended.cut else ""
        emit(Message(None, f"drained in {ended.seconds:.1f} s{cut}"))


def drains(context: DeployContext, service: str) -> tuple[tuple[str, Draining], ...]:
    """Returns the drains of a service that have not ended, each with its host. Raises CommandError."""

    def of(host: Host) -> list[tuple[str, Draining]]:
        done = host.run(draining.records(service))
        if done.code != 0:
            raise CommandError(f"{host.name}: its drains can't be read: {last_line(done)}")
        try:
            return [(host.name, parse_draining(line)) for line in done.stdout.splitlines() if line]
        except ValueError as error:
            raise CommandError(f"{host.name}: its drains can't be read: {error}") from error

    return tuple(each for found in on_every(context.hosts, of) for each in found)
