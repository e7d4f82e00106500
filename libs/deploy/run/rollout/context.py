"""What a deploy touches, and how one ends; never does anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.core.config import Environment
from deploy.core.ports import Clock, Host, ImageRegistry, MetricsQuery, Probe
from deploy.core.reports.rollout_log import RolloutLog
from deploy.errors import ShipError
from deploy.run.steps.secrets import SecretResolver


@dataclass(frozen=True)
class DeployContext:
    """Everything outside that a deploy touches."""

    environment: Environment
    hosts: tuple[Host, ...]
    registry: ImageRegistry
    probe: Probe
    clock: Clock
    metrics: MetricsQuery | None = None
    publish: Callable[[RolloutLog], None] = lambda chronicle: None
    vault: SecretResolver = field(default_factory=SecretResolver)


@dataclass(frozen=True)
class Outcome:
    """How it ended: live, unchanged, held, aborted, closed or open; a failure is reverted, held or stuck.

    `release` is what was tried, `previous` what was live before.
    """

    service: str
    release: str
    previous: str
    outcome: str
    seconds: float


class RolloutError(ShipError):
    """What was begun on the hosts failed, and ended as `end`."""

    def __init__(self, message: str, *, end: Outcome, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.end = end


class RevertedError(RolloutError):
    """It failed and every host was taken back: `end.previous` is live."""


class StuckError(RolloutError):
    """It couldn't be taken back everywhere, or is held for a person to look at."""

    exit_code = 4


def since(clock: Clock, begun: float) -> float:
    """Returns the seconds since `begun` on the monotonic clock."""
    return round(clock.monotonic() - begun, 3)
