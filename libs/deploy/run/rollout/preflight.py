"""Asks everything that can refuse a deploy before its first effect, of all hosts; never changes anything."""

from __future__ import annotations

from deploy.core.planning.plan import DesiredState
from deploy.core.planning.preflight import (
    missing_images,
    needed_bytes,
    ports_to_take,
    skew,
    unfit,
)
from deploy.core.state.fleet import FleetState
from deploy.errors import PreflightError, RegistryError
from deploy.run.rollout.context import DeployContext
from deploy.run.rollout.events import Listener, Message


def preflight(
    context: DeployContext, desired: DesiredState, seen: FleetState, tell: Listener
) -> None:
    """Raises PreflightError with every problem of every host; tells of what misleads but stops nothing."""
    now = context.clock.now()
    for host in seen:
        if warning := skew(host, now):
            tell(Message(host.host, warning))
    missing = {host.host: missing_images(desired, host) for host in seen}
    problems: list[str] = []
    try:
        # A registry that refuses us would refuse the hosts, which pull with this login. Where nothing is to be
        # pulled it isn't asked.
        command = dict.fromkeys(image for images in missing.values() for image in images)
        sizes = {image: context.registry.size_of(image) for image in command}
    except RegistryError as error:
        sizes, problems = {}, [error.message]
    for host in seen:
        images = missing[host.host]
        room = needed_bytes(images, sizes) if images else None
        ports = ports_to_take(context.environment, desired, host)
        problems += unfit(host, needed_bytes=room, ports=ports)
    if problems:
        raise PreflightError(
            "; ".join(problems), hint="nothing was changed; mend it and run this again"
        )
