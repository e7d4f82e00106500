"""A held candidate: no connection lives between two jobs, so a record on each host keeps others away for a while."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Hold:
    """Who holds which candidate, beside which live release ("" for none).

    `since` is UTC in ISO 8601 by the deployer's clock, for people; `expires_s` is in seconds since 1970 by the clock of
    the host that keeps the record, so that a clock that is wrong is wrong the same when it is read.
    """

    service: str
    release: str
    previous: str
    who: str
    since: str
    expires_s: float
    pipeline: str = ""


def dump_hold(hold: Hold) -> str:
    """Writes the record as one line of JSON."""
    return json.dumps(asdict(hold), sort_keys=True)


def parse_hold(line: str) -> Hold | None:
    """Reads a record; None for what isn't one."""
    try:
        return Hold(**json.loads(line))
    except (ValueError, TypeError):
        return None
