"""The events of a rollout, as values. Console, event file, rollout log and metrics listen to the same ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deploy.core.planning.plan import Plan
from deploy.core.planning.steps import Step


@dataclass(frozen=True)
class Message:
    """A line for people, about one host or, with None, about all. A `detail` is for those who ask for it (`-v`)."""

    host: str | None
    text: str
    detail: bool = False


@dataclass(frozen=True)
class PlanMade:
    """A plan is about to be executed; `reverting` if it reverts a failed operation."""

    plan: Plan
    reverting: bool = False


@dataclass(frozen=True)
class PhaseBegun:
    """A phase begins: number `number` of `of`, with `steps` steps."""

    name: str
    number: int
    of: int
    steps: int


@dataclass(frozen=True)
class StepBegun:
    """A step begins."""

    step: Step


@dataclass(frozen=True)
class StepDone:
    """A step succeeded."""

    step: Step
    seconds: float


@dataclass(frozen=True)
class StepFailed:
    """A step failed; no further step begins on any host."""

    step: Step
    seconds: float
    error: Exception


Event = Message | PlanMade | PhaseBegun | StepBegun | StepDone | StepFailed
Listener = Callable[[Event], None]
