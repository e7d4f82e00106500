"""What a deploy touches, and how one ends; never does anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.core.chronicle import Chronicle
from deploy.core.config import Environment
from deploy.core.ports import Clock, Host, ImageRegistry, Judge, MetricsQuery, Probe
from deploy.errors import ShipError
from deploy.run.vault import Vault
from deploy.run.watching import EdgeJudge


@dataclass(frozen=True)
class World:
    """Everything outside that a deploy touches."""

    environment: Environment
    hosts: tuple[Host, ...]
    registry: ImageRegistry
    probe: Probe
    clock: Clock
    judge: Judge = field(default_factory=EdgeJudge)
    metrics: MetricsQuery | None = None
    publish: Callable[[Chronicle], None] = lambda chronicle: None
    vault: Vault = field(default_factory=Vault)


@dataclass(frozen=True)
class Outcome:
    """How it ended: `outcome` is live, unchanged, held or aborted; a failure is an exception."""

    service: str
    release: str
    previous: str
    outcome: str
    seconds: float


class RevertedError(ShipError):
    """The deploy failed and every host was taken back; `release` is what was tried, `previous` what is live."""

    def __init__(self, message: str, *, release: str, previous: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.release = release
        self.previous = previous


def since(clock: Clock, begun: float) -> float:
    """Returns the seconds since `begun` on the monotonic clock."""
    return round(clock.monotonic() - begun, 3)
