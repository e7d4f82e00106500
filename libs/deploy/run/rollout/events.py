"""What happens while a plan is carried out, as values; console, JSON, ledger and metrics listen to the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deploy.core.planning.plan import Plan
from deploy.core.planning.steps import Step


@dataclass(frozen=True)
class Message:
    """Something worth a line, on one host or ("") everywhere."""

    host: str
    text: str


@dataclass(frozen=True)
class PlanMade:
    """A plan is about to be carried out; `reverting` if it takes a failed deploy back."""

    plan: Plan
    reverting: bool = False


@dataclass(frozen=True)
class PhaseBegun:
    """A phase begins: number `number` of `of`, with as many steps."""

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
    """A step is over and did what it says."""

    step: Step
    seconds: float


@dataclass(frozen=True)
class StepFailed:
    """A step failed; nothing after it on any host is begun."""

    step: Step
    seconds: float
    error: Exception


Event = Message | PlanMade | PhaseBegun | StepBegun | StepDone | StepFailed
Listener = Callable[[Event], None]
