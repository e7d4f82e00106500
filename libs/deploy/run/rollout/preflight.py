"""Checks before a rollout's first effect everything that could refuse it, on all hosts."""

from __future__ import annotations

from deploy.core.planning.plan import DesiredState
from deploy.core.planning.preflight import (
    clock_warning,
    missing_images,
    needed_bytes,
    oversized,
    ports_to_take,
    unfit,
)
from deploy.core.state.fleet import FleetState
from deploy.errors import PreflightError, RegistryError
from deploy.run.rollout.context import DeployContext
from deploy.run.rollout.events import Listener, Message


def preflight(
    context: DeployContext, desired: DesiredState, fleet: FleetState, emit: Listener
) -> None:
    """Raises PreflightError with every problem of every host; emits warnings."""
    now = context.clock.now()
    for host in fleet:
        if warning := clock_warning(host, now):
            emit(Message(host.host, warning))
    missing = {host.host: missing_images(desired, host) for host in fleet}
    problems: list[str] = []
    try:
        # Hosts pull with this login, so a registry that refuses it here would refuse it there. If every image is on
        # the hosts, the registry isn't contacted.
        needed = dict.fromkeys(image for images in missing.values() for image in images)
        sizes = {image: context.registry.size_of(image) for image in needed}
    except RegistryError as error:
        sizes, problems = {}, [error.message]
    for host in fleet:
        images = missing[host.host]
        room = needed_bytes(images, sizes) if images else None
        ports = ports_to_take(context.environment, desired, host)
        problems += oversized(context.environment, desired, host)
        problems += unfit(host, needed_bytes=room, ports=ports)
    if problems:
        raise PreflightError(
            "; ".join(problems), hint="nothing was changed; fix this and run the command again"
        )
