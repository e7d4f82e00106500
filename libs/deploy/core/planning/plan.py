"""A plan as data: phases of steps over all hosts, and what it is made for; never made here, never carried out."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.core.config import Service
from deploy.core.planning.step_lines import describe
from deploy.core.planning.steps import Step
from deploy.core.state.release import Release
from deploy.core.state.stack import Stack


@dataclass(frozen=True)
class Phase:
    """Steps of all hosts that must be over before the next phase; hosts run side by side or `one_by_one`.

    A failure in a `reversible` phase sends every host back to the last verified release; a failure in
    another leaves the new release live, and the next deploy does what is left. In an `independent` phase a host
    that fails stops no other.
    """

    name: str
    steps: tuple[Step, ...]
    reversible: bool = True
    one_by_one: bool = False
    independent: bool = False


@dataclass(frozen=True)
class Plan:
    """What will be done, whole. `release` None means that nothing is to be live. Empty: all is as wanted."""

    service: str
    release: Release | None
    previous: str
    phases: tuple[Phase, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in the order of the phases."""
        return tuple(step for phase in self.phases for step in phase.steps)

    def lines(self) -> tuple[str, ...]:
        """The plan as text: each phase's name, then a line a step."""
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


@dataclass(frozen=True)
class DesiredState:
    """What every host should run: this release, these parts beside it, this many releases kept.

    What is not `judged` goes live on all hosts at once and isn't watched: a way back to what was verified before.
    `canary` is the share of the users, in percent, that meet it before the first host switches.
    """

    service: Service
    release: Release
    stacks: tuple[Stack, ...]
    keep_releases: int
    judged: bool = True
    canary: int = 0
