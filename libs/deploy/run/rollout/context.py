"""What a rollout works with, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.core.config import Environment
from deploy.core.ports import Clock, Host, ImageRegistry, MetricsQuery, Probe
from deploy.core.reports.rollout_log import RolloutLog
from deploy.core.state.ledger import Outcome
from deploy.errors import ShipError
from deploy.run.steps.secrets import SecretResolver


@dataclass(frozen=True)
class DeployContext:
    """The environment of a rollout and the ports to everything outside. `publish` gets the log of each rollout."""

    environment: Environment
    hosts: tuple[Host, ...]
    registry: ImageRegistry
    probe: Probe
    clock: Clock
    metrics: MetricsQuery | None = None
    publish: Callable[[RolloutLog], None] = lambda log: None
    secrets: SecretResolver = field(default_factory=SecretResolver)


@dataclass(frozen=True)
class Result:
    """How an operation ended: the release it was about, the one that was live before, and the time it took.

    After a revert `previous` is the release that is live again.
    """

    service: str
    release: str
    previous: str | None
    outcome: Outcome
    seconds: float


class RolloutError(ShipError):
    """An operation that had begun on the hosts failed; `result` is how it ended."""

    def __init__(self, message: str, *, result: Result, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.result = result


class RevertedError(RolloutError):
    """The operation failed and every host was reverted: `result.previous` is live."""


class StuckError(RolloutError):
    """The operation failed and could not be reverted everywhere, or its candidate is held for a person to decide."""

    exit_code = 4


def since(clock: Clock, begun: float) -> float:
    """Returns the seconds since `begun` on the monotonic clock."""
    return round(clock.monotonic() - begun, 3)
