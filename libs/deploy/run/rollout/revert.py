"""Takes back what one pipeline began, wherever it had come to; never touches another release.

A pipeline's last job knows the release that it held, not how far it came: so that is looked at.
"""

from __future__ import annotations

from deploy.core.config import Service
from deploy.core.state.fleet import FleetState
from deploy.core.state.release import Origin
from deploy.run.hosts.observe import observe
from deploy.run.rollout.context import since
from deploy.run.rollout.deploy import (
    AbortCommand,
    DeployContext,
    Outcome,
    RollbackCommand,
    abort,
    rollback,
)
from deploy.run.rollout.events import Listener


def take_back(
    service: Service,
    origin: Origin,
    release: str,
    context: DeployContext,
    tell: Listener,
    pipeline: str = "",
) -> Outcome:
    """Removes the release where it is a candidate, brings back what was before it where it is live.

    Where it is neither, or "" because none was held, nothing is done. Raises what `abort` and `rollback` raise.
    """
    begun = context.clock.monotonic()
    seen = observe(context.hosts) if release else FleetState()
    hold = seen.any_hold(service.name)
    ours = hold is not None and hold.release == release
    if any(host.edge.live(service.name) == release for host in seen):
        to = hold.previous if ours and hold else ""
        back = RollbackCommand(
            service, origin, to, pipeline=pipeline, options=("--release", release)
        )
        return rollback(back, context, tell, wait=True)
    if ours:
        return abort(
            AbortCommand(service, origin, release, pipeline=pipeline), context, tell, wait=True
        )
    return Outcome(service.name, release, "", "unchanged", since(context.clock, begun))
