"""Takes back what one pipeline began, wherever it had come to; never touches another release.

A pipeline's last job knows the release that it held, not how far it came: so that is looked at.
"""

from __future__ import annotations

from deploy.core.config import Service
from deploy.core.state.observed import any_hold
from deploy.core.state.release import Origin
from deploy.run.hosts.observe import observe
from deploy.run.rollout.context import since
from deploy.run.rollout.deploy import (
    Abort,
    Outcome,
    Rollback,
    World,
    abort,
    rollback,
)
from deploy.run.rollout.events import Listener


def take_back(
    service: Service, origin: Origin, release: str, world: World, tell: Listener, pipeline: str = ""
) -> Outcome:
    """Removes the release where it is a candidate, brings back what was before it where it is live.

    Where it is neither, or "" because none was held, nothing is done. Raises what `abort` and `rollback` raise.
    """
    begun = world.clock.monotonic()
    seen = observe(world.hosts) if release else ()
    hold = any_hold(seen, service.name)
    ours = hold is not None and hold.release == release
    if any(host.edge.live(service.name) == release for host in seen):
        to = hold.previous if ours and hold else ""
        back = Rollback(service, origin, to, pipeline=pipeline, options=("--release", release))
        return rollback(back, world, tell, wait=True)
    if ours:
        return abort(Abort(service, origin, release, pipeline=pipeline), world, tell, wait=True)
    return Outcome(service.name, release, "", "unchanged", since(world.clock, begun))
