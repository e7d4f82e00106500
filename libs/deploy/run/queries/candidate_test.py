"""The release under test must be the one on the preview route of every host."""

import pytest

from deploy.errors import LockedError, UsageError
from deploy.run.queries.candidate import require_candidate
from deploy.run.rollout.rollout_fixture import ONE, live_fleet
from deploy.testing import factories
from deploy.testing.fleet.memory_host import PREVIEW_PORT

SERVICE = factories.service(replicas=1)


def test_the_release_on_the_preview_route_is_accepted() -> None:
    fleet = live_fleet("host-1", "host-2", service=SERVICE)
    require_candidate(fleet.hosts, SERVICE, ONE, preview_port=PREVIEW_PORT)


def test_another_release_on_the_preview_route_is_refused() -> None:
    fleet = live_fleet("host-1", "host-2", service=SERVICE)
    with pytest.raises(LockedError, match=f"answers with {ONE}, not r000009-abc; nothing was"):
        require_candidate(fleet.hosts, SERVICE, "r000009-abc", preview_port=PREVIEW_PORT)


def test_an_empty_release_is_a_usage_error() -> None:
    fleet = live_fleet("host-1", "host-2", service=SERVICE)
    with pytest.raises(UsageError, match="--release is empty"):
        require_candidate(fleet.hosts, SERVICE, "", preview_port=PREVIEW_PORT)
