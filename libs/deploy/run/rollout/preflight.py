"""Asks everything that can refuse a deploy before its first effect, of all hosts; never changes anything."""

from __future__ import annotations

from deploy.core.planning.plan import Wanted
from deploy.core.planning.preflight import (
    missing_images,
    needed_bytes,
    ports_to_take,
    skew,
    unfit,
)
from deploy.core.state.observed import Observed
from deploy.errors import PreflightError, RegistryError
from deploy.run.rollout.context import World
from deploy.run.rollout.events import Listener, Said


def preflight(world: World, wanted: Wanted, seen: tuple[Observed, ...], tell: Listener) -> None:
    """Raises PreflightError with every problem of every host; tells of what misleads but stops nothing."""
    now = world.clock.now()
    for host in seen:
        if warning := skew(host, now):
            tell(Said(host.host, warning))
    missing = {host.host: missing_images(wanted, host) for host in seen}
    problems: list[str] = []
    try:
        # A registry that refuses us would refuse the hosts, which pull with this login. Where nothing is to be
        # pulled it isn't asked.
        asked = dict.fromkeys(image for images in missing.values() for image in images)
        sizes = {image: world.registry.size_of(image) for image in asked}
    except RegistryError as error:
        sizes, problems = {}, [error.message]
    for host in seen:
        images = missing[host.host]
        room = needed_bytes(images, sizes) if images else None
        ports = ports_to_take(world.environment, wanted, host)
        problems += unfit(host, needed_bytes=room, ports=ports)
    if problems:
        raise PreflightError(
            "; ".join(problems), hint="nothing was changed; mend it and run this again"
        )
