"""Replicas that can't pass their health check are refused as soon as that is certain, with what is missing."""

from __future__ import annotations

import pytest

from deploy.core.contract import PAGE
from deploy.run.rollout.deploy import RevertedError
from deploy.run.rollout.rollout_fixture import deploy_command, live_fleet, run_deploy
from deploy.testing import factories
from deploy.testing.fleet.docker import ContainerBehaviour

SERVICE = factories.service(replicas=2)
NO_PROGRAM = (
    'OCI runtime exec failed: exec: "/usr/local/bin/healthcheck": stat /usr/local/bin/healthcheck: '
    "no such file or directory: unknown"
)


def refused(behaviour: ContainerBehaviour) -> tuple[str, float]:
    """Returns the error's first line of a deploy whose replicas behave like this, and after how many seconds."""
    fleet = live_fleet(service=SERVICE)
    command = deploy_command(fleet, "two", SERVICE)
    fleet["host-1"].engine.behaviours[command.image] = behaviour
    begun = fleet.clock.monotonic()
    with pytest.raises(RevertedError) as failure:
        run_deploy(fleet, command)
    return failure.value.message.splitlines()[0], fleet.clock.monotonic() - begun


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (
            ContainerBehaviour(health_status=404),
            "app-r000002-1 answers 404 to its health check, GET /readyz: call telemetry.instrument(app)",
        ),
        (ContainerBehaviour(health_status=302), "redirects its health check, GET /readyz"),
        (ContainerBehaviour(health_status=401), "refuses its health check, GET /readyz, with 401"),
        (
            ContainerBehaviour(listens_at=("0.0.0.0", 5000)),  # noqa: S104
            "listens on 0.0.0.0:5000, and not on port 8080 of service.toml",
        ),
        (
            ContainerBehaviour(listens_at=("127.0.0.1", 8080)),
            "listens on 127.0.0.1:8080 only, where the edge can't reach it: bind 0.0.0.0:8080",
        ),
        (
            ContainerBehaviour(healthy_after_s=None, check_output=NO_PROGRAM),
            "has no /usr/local/bin/healthcheck in its image",
        ),
        (
            ContainerBehaviour(has_version=False),
            "is healthy but answers 404 to GET /version, by which the deploy recognises it",
        ),
    ],
)
def test_certain_failure_is_refused_long_before_the_deadline(
    behaviour: ContainerBehaviour, words: str
) -> None:
    line, seconds = refused(behaviour)
    assert words in line
    assert PAGE in line
    assert seconds < SERVICE.health.startup_deadline_s / 2


def test_replica_that_is_not_ready_yet_is_waited_for() -> None:
    line, seconds = refused(ContainerBehaviour(healthy_after_s=None))
    assert "did not become healthy" in line
    assert seconds >= SERVICE.health.startup_deadline_s
