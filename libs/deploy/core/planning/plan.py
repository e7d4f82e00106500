"""A plan as data: phases of steps over all hosts, and the desired state that they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from deploy.core.config import Service
from deploy.core.planning.steps import Step, describe
from deploy.core.state.release import Release
from deploy.core.state.stack import Stack


class PhaseKind(StrEnum):
    """What the steps of a phase are for. The values are the names in plans, progress lines and rollout logs."""

    PREPARE = "prepare"
    RENEW = "renew"
    BEFORE_SWITCH = "before switch"
    START = "start"
    PREVIEW = "preview"
    PREVIEW_ANALYSIS = "preview analysis"
    CANARY = "canary"
    CANARY_ANALYSIS = "canary analysis"
    SWITCH = "switch"
    PAUSE = "pause"
    VERIFY = "verify"
    WATCH = "watch"
    ANALYSIS = "analysis"
    RECORD = "record"
    TIDY = "tidy"
    AFTER_SWITCH = "after switch"
    HOLD = "hold"
    REVERT = "revert"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True)
class Phase:
    """Steps that must all end before the next phase begins; hosts run in parallel unless `one_by_one`.

    A failure in a `reversible` phase reverts every host to the last verified release. After a failure in another phase
    the new release stays live, and the next deploy does what is left. In an `independent` phase a host that fails
    doesn't stop the others. `batch` is (number, of how many) where a kind of phase is done batch by batch.
    """

    kind: PhaseKind
    steps: tuple[Step, ...]
    reversible: bool = True
    one_by_one: bool = False
    independent: bool = False
    batch: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """Its name for people, such as `switch 1 of 2`."""
        if self.batch is None:
            return self.kind.value
        number, count = self.batch
        return f"{self.kind.value} {number} of {count}"


@dataclass(frozen=True)
class Plan:
    """All phases that bring a fleet to the desired state; without phases it is there already.

    `release` is what is live afterwards, None for nothing. `previous` is the id of the release that is live before.
    """

    service: str
    release: Release | None
    previous: str | None
    phases: tuple[Phase, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in the order of the phases."""
        return tuple(step for phase in self.phases for step in phase.steps)

    def has_phase(self, kind: PhaseKind) -> bool:
        """Returns whether the plan has a phase of this kind."""
        return any(phase.kind is kind for phase in self.phases)

    def lines(self) -> tuple[str, ...]:
        """Returns the plan as text: the name of each phase, then one line per step."""
        return tuple(
            line
            for phase in self.phases
            for line in (f"{phase.name}:", *(f"  {describe(step)}" for step in phase.steps))
        )


@dataclass(frozen=True)
class Holder:
    """Who holds a candidate, since when (UTC, ISO 8601) and for which pipeline."""

    who: str
    since: str
    pipeline: str = ""


class Strategy(Enum):
    """How a release goes live."""

    ROLLOUT = auto()
    """A new release: tasks, preview, switch in batches, watch and analysis."""

    ROLLBACK = auto()
    """A release that was verified before: all hosts switch at once, without tasks, preview, watch and analysis."""


@dataclass(frozen=True)
class DesiredState:
    """What every host should run: this release, these stacks beside it, and how many releases to keep.

    `canary` is the percentage of users' requests that the release gets before the first host switches, 0 for none.
    """

    service: Service
    release: Release
    stacks: tuple[Stack, ...]
    keep_releases: int
    strategy: Strategy = Strategy.ROLLOUT
    canary: int = 0

    @property
    def is_rollback(self) -> bool:
        """Whether the release was verified before."""
        return self.strategy is Strategy.ROLLBACK
