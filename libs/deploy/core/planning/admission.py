"""Rules that refuse a command before anything is built or any host is touched."""

from __future__ import annotations

from deploy.core.config import Environment, Service
from deploy.errors import UsageError


def require_committed(environment: Environment, *, dirty: bool) -> None:
    """Raises UsageError if the checkout is dirty and the environment takes committed source only."""
    if dirty and not environment.allow_dirty:
        raise UsageError(
            f"the checkout has uncommitted changes, and {environment.name} takes committed source only; "
            "nothing was built or changed",
            hint="commit the changes, or deploy them to the sandbox: --env sandbox",
        )


def require_canary_analysis(service: Service, canary: int) -> None:
    """Raises UsageError if a canary is requested (`canary` percent of the users) and no analysis would decide on it."""
    if canary and not service.gate.enabled:
        raise UsageError(
            f"{service.name}: --canary needs the release gate, and [gate] is disabled; nothing was changed",
            hint=f"enable [gate] in services/{service.name}/service.toml, or deploy without --canary",
        )
