"""Tells whether a release answers on the preview route, so that what is tried is what is promoted; changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence

from deploy.core.config import Service
from deploy.core.ports import Answer, Host
from deploy.errors import LockedError, UsageError


def require_candidate(
    hosts: Sequence[Host], service: Service, release: str, *, preview_port: int
) -> None:
    """Raises LockedError where a host's preview route answers with another release than this one."""
    if not release:
        raise UsageError(
            f"which release of {service.name} is to be tried is not said: --release is empty",
            hint="in a pipeline, ship deploy --hold --dotenv FILE tells it to later jobs",
        )
    headers = {"Host": service.route.host} if service.route.host else None
    path = service.route.path.rstrip("/") + "/version"
    for host in hosts:
        found = _release_of(host.fetch(preview_port, path, headers=headers))
        if found != release:
            raise LockedError(
                f"{host.name}'s preview route answers with {found or 'no release'}, not {release}; nothing was tried",
                hint=f"./ship status {service.name} shows what is held and what is live",
            )


def _release_of(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["release"])
    except (ValueError, KeyError, TypeError):
        return ""
