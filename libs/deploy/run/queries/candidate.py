"""Checks that the release under test is the one on the preview route."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.core.config import Service
from deploy.core.ports import Answer, Host
from deploy.core.state.json_record import load
from deploy.errors import LockedError, UsageError
from deploy.run.steps.verify import verification_headers


def require_candidate(
    hosts: Sequence[Host], service: Service, release: str, *, preview_port: int
) -> None:
    """Raises LockedError if the preview route of a host answers with another release, UsageError without a release."""
    if not release:
        raise UsageError(
            f"no release of {service.name} to test: --release is empty",
            hint="in a pipeline, ship deploy --hold --dotenv FILE passes the release to later jobs",
        )
    headers = verification_headers(service.route.host)
    path = service.route.path.rstrip("/") + "/version"
    for host in hosts:
        found = _release_of(host.fetch(preview_port, path, headers=headers))
        if found != release:
            raise LockedError(
                f"{host.name}'s preview route answers with {found or 'no release'}, not {release}; nothing was tested",
                hint=f"./ship status {service.name} shows what is held and what is live",
            )


def _release_of(answer: Answer) -> str | None:
    try:
        return str(load(answer.body.decode())["release"])
    except (ValueError, KeyError, TypeError):
        return None
