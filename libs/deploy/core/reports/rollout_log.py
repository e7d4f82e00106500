"""The log of one rollout, step by step, as hosts keep it and reports show it."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, field, replace

from deploy.core.reports.release_diff import Change, changes, replica_diff
from deploy.core.state.json_record import from_json, load, to_json
from deploy.core.state.release import Release


@dataclass(frozen=True)
class Span:
    """A step on a host: when it began (seconds after the rollout did), how long it took, its error ("": none).

    `step` is the name of the step's class, for programs; `line` is the step in words, for people.
    """

    phase: str
    step: str
    host: str
    because: str
    line: str
    begun_s: float
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class RolloutLog:
    """One rollout. `begun` is UTC in ISO 8601; `outcome` is live, reverted, held, aborted or stuck, `why` its cause.

    The last four fields are what the records of both releases said then: a record changes when its release is scaled,
    and is removed with it. `changes` is None in logs of versions that didn't keep them. `images` are the previous
    image and the new one.
    """

    service: str
    release: str
    previous: str
    environment: str
    verb: str
    turn: int
    who: str
    begun: str
    seconds: float
    outcome: str
    why: str
    revision: str
    pipeline: str
    spans: tuple[Span, ...]
    changes: tuple[Change, ...] | None = field(default=None, metadata={"optional": True})
    replica_diff: tuple[str, ...] = field(default=(), metadata={"optional": True})
    images: tuple[str, str] = field(default=("", ""), metadata={"optional": True})
    previous_revision: str = field(default="", metadata={"optional": True})

    def comparing(self, old: Release | None, new: Release) -> RolloutLog:
        """Returns the log with what changed from the old release (None: there was none) to the new one."""
        return replace(
            self,
            changes=changes(old, new) if old else (),
            replica_diff=replica_diff(old, new) if old else (),
            images=(old.image if old else "", new.image),
            previous_revision=old.revision if old else "",
        )

    @property
    def cause(self) -> str:
        """The details of the first error that has some, such as the application's exception; "" if none has."""
        ended = sorted(self.spans, key=lambda span: span.begun_s + span.seconds)
        details = (textwrap.dedent(span.error.partition("\n")[2]) for span in ended)
        return next(filter(None, details), "")

    @property
    def phases(self) -> tuple[tuple[str, float, float], ...]:
        """Each phase's (name, begin, end) in seconds, in the order in which they began."""
        found: dict[str, tuple[float, float]] = {}
        for span in self.spans:
            begun, ended = found.get(span.phase, (span.begun_s, 0.0))
            found[span.phase] = (
                min(begun, span.begun_s),
                max(ended, span.begun_s + span.seconds),
            )
        return tuple((name, begun, ended) for name, (begun, ended) in found.items())


def dump_rollout_log(log: RolloutLog) -> str:
    """Returns the log as one line of JSON."""
    return json.dumps(to_json(log), sort_keys=True)


def parse_rollout_log(text: str) -> RolloutLog:
    """Returns the log that a text holds. Raises ValueError if it holds none."""
    return from_json(RolloutLog, load(text))
