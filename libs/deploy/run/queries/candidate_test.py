"""The release under test must be the one on the preview route of every host."""

import pytest

from deploy.errors import LockedError, UsageError
from deploy.run.queries.candidate import require_candidate
from deploy.run.rollout.deploy import (
    DeployCommand,
    DeployContext,
    deploy,
)
from deploy.testing import factories
from deploy.testing.fleet.fleet import Fleet
from deploy.testing.fleet.memory_host import PREVIEW_PORT

SERVICE = factories.service(replicas=1)


def _deployed() -> tuple[Fleet, str]:
    fleet = Fleet.of("host-1", "host-2")
    request = DeployCommand(
        SERVICE, factories.image("one"), factories.REPLICA, factories.stacks(), factories.ORIGIN
    )
    fleet.images.update([request.image, *(stack.image for stack in request.stacks)])
    context = DeployContext(fleet.environment(), fleet.hosts, fleet.registry, fleet, fleet.clock)
    return fleet, deploy(request, context, lambda event: None).release


def test_the_release_on_the_preview_route_is_accepted() -> None:
    fleet, release = _deployed()
    require_candidate(fleet.hosts, SERVICE, release, preview_port=PREVIEW_PORT)


def test_another_release_on_the_preview_route_is_refused() -> None:
    fleet, release = _deployed()
    with pytest.raises(LockedError, match=f"answers with {release}, not r000009-abc; nothing was"):
        require_candidate(fleet.hosts, SERVICE, "r000009-abc", preview_port=PREVIEW_PORT)


def test_an_empty_release_is_a_usage_error() -> None:
    fleet, _ = _deployed()
    with pytest.raises(UsageError, match="--release is empty"):
        require_candidate(fleet.hosts, SERVICE, "", preview_port=PREVIEW_PORT)
