"""What happened in one deploy, step by step, as a value that hosts keep and reports show; never measures a time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Span:
    """A step on a host: when it began (seconds after the deploy did), how long it took, how it ended ("" is well)."""

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
    """One deploy. `begun` is UTC in ISO 8601; `outcome` is live, reverted, held, aborted or stuck, `why` its cause."""

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


def dump_rollout_log(chronicle: RolloutLog) -> str:
    """Writes it as one line of JSON."""
    return json.dumps(asdict(chronicle), sort_keys=True)


def parse_rollout_log(text: str) -> RolloutLog:
    """Reads one. Raises ValueError if it isn't one."""
    try:
        data: dict[str, Any] = json.loads(text)
        return RolloutLog(**{**data, "spans": tuple(Span(**each) for each in data["spans"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"no chronicle: {error}") from error
