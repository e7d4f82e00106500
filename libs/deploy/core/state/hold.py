"""A held candidate: a record on each host that keeps other deploys of the service away between two pipeline jobs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from deploy.core.state.json_record import UNKNOWN, UnknownKeys, from_json, load, to_json


@dataclass(frozen=True)
class Hold:
    """Who holds which candidate, and which release was live then (None: none was).

    `since` is UTC in ISO 8601 by the deployer's clock, for people. `expires_s` is in seconds since 1970 by the clock of
    the host that keeps the record: the same clock reads it, so a wrong clock does no harm.
    """

    service: str
    release: str
    previous: str | None = field(metadata={"none": ""})
    who: str
    since: str
    expires_s: float
    pipeline: str = ""
    unknown: UnknownKeys = field(default=(), metadata=UNKNOWN)


def dump_hold(hold: Hold) -> str:
    """Returns the record as one line of JSON."""
    return json.dumps(to_json(hold), sort_keys=True)


def parse_hold(line: str) -> Hold | None:
    """Returns the record that a line holds, None if it holds none."""
    try:
        return from_json(Hold, load(line))
    except ValueError:
        return None
