"""Counts requests in the edge's access log: commands that run on the host, and the parser of what they print.

The log of a busy hour takes gigabytes, so the host sums it up: one line per origin, release, address, status and
rounded time. All times are from the host's own clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from deploy.core.analysis.samples import FIRST_FAILURE, ReleaseStats, RequestStats


class Origin(StrEnum):
    """Whose requests count. Of the tool's own those of the gate are evidence; the others only show in a report.

    The edge's log names the sender in `origin`: users, gate, verification or journeys. An edge of an earlier version
    doesn't, so the ids are compared as well.
    """

    USERS = "users"
    SYNTHETIC = "synthetic"


SYNTHETIC_PREFIX = "ship-gate-"
"""What the ids of synthetic requests begin with."""
VERIFICATION_ID = "ship-verify"
"""The id of the requests with which the tool checks that a release answers."""
JOURNEYS = "journeys"
"""The origin of browser journeys, which send it as the header X-Synthetic."""


@dataclass(frozen=True)
class SecondCount:
    """Equal requests within one second. `at` is in seconds since 1970, `seconds` is how long each took."""

    at: float
    origin: Origin
    upstream: str
    seconds: float
    failed: bool
    requests: int


type Counts = Mapping[tuple[Origin, str], ReleaseStats]
"""The requests that one host counted, by (origin, upstream), with replicas by address."""

# nginx escapes quotes within JSON strings, so `"name":` can only be a key.
_FIELD = r"""
  function field(name,  at, rest) {
    at = index($0, "\"" name "\":")
    if (!at) return ""
    rest = substr($0, at + length(name) + 3)
    if (substr(rest, 1, 1) == "\"") { rest = substr(rest, 2); sub(/".*/, "", rest) }
    else sub(/[,}].*/, "", rest)
    return rest
  }"""

# $1 since, $2 until: seconds since 1970 on the host's clock, with fractions. $3 prefix of all synthetic request ids,
# $4 id of verification requests, $5 origin of journeys, $6 prefix of the synthetic ids to count. Status 499 means that
# the client left before an answer, so it says nothing about the release.
_COUNT = (
    r"""
for edge in $(docker ps --quiet --filter label=py-cicd.name=edge); do
  docker logs --since "$1" --until "$2" "$edge" 2>/dev/null || exit 1
done | awk -v synthetic="$3" -v verification="$4" -v journeys="$5" -v counted="$6" '"""
    + _FIELD
    + r"""
  {
    upstream = field("upstream"); id = field("request_id"); status = field("status")
    if (upstream == "" || id == verification || field("origin") == journeys || status == 499) next
    address = field("upstream_address"); sub(/.*[ ,]/, "", address)
    ms = int(field("seconds") * 1000 + 0.5)
    if (ms >= 1000) ms = int(ms / 50 + 0.5) * 50
    else if (ms >= 100) ms = int(ms / 5 + 0.5) * 5
    origin = substr(id, 1, length(synthetic)) == synthetic ? "synthetic" : "users"
    if (origin == "synthetic" && substr(id, 1, length(counted)) != counted) next
    count[origin " " upstream " " (address == "" ? "-" : address) " " status " " ms]++
  }
  END { for (key in count) print key, count[key] }'
"""
)

# $1 to $5 as above. Docker prefixes each line with its time in UTC.
_BY_SECOND = (
    r"""
for edge in $(docker ps --quiet --filter label=py-cicd.name=edge); do
  docker logs --timestamps --since "$1" --until "$2" "$edge" 2>/dev/null || exit 1
done | awk -v synthetic="$3" -v verification="$4" -v journeys="$5" '"""
    + _FIELD
    + r"""
  {
    upstream = field("upstream"); id = field("request_id")
    if (upstream == "" || id == verification) next
    ours = substr(id, 1, length(synthetic)) == synthetic || field("origin") == journeys
    ms = int(field("seconds") * 1000 + 0.5)
    if (ms >= 100) ms = int(ms / 20 + 0.5) * 20
    count[substr($1, 1, 19) " " (ours ? "synthetic" : "users") " " upstream " " field("status") " " ms]++
  }
  END { for (key in count) print key, count[key] }'
"""
)


def host_time() -> list[str]:
    """Prints the host's clock in seconds since 1970, with fractions."""
    return ["date", "+%s.%N"]


def count_requests(since: float, until: float, prefix: str = SYNTHETIC_PREFIX) -> list[str]:
    """Prints `origin upstream address status milliseconds count` for the requests logged between two moments.

    Synthetic requests count only if their id begins with `prefix`.
    """
    times = [f"{since:.3f}", f"{until:.3f}"]
    ids = [SYNTHETIC_PREFIX, VERIFICATION_ID, JOURNEYS, prefix]
    return ["sh", "-c", _COUNT, "requests", *times, *ids]


def by_second(since: float, until: float) -> list[str]:
    """Prints `UTC-second origin upstream status milliseconds count` for all but verification requests."""
    times = [f"{since:.3f}", f"{until:.3f}"]
    return ["sh", "-c", _BY_SECOND, "seconds", *times, SYNTHETIC_PREFIX, VERIFICATION_ID, JOURNEYS]


def parse_counts(text: str) -> Counts:
    """Parses the output of `count_requests`; skips lines of any other form, since a log may contain anything."""
    rows: dict[tuple[Origin, str], dict[str | None, list[tuple[float, bool, int]]]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) != 6 or words[0] not in Origin or not all(w.isdecimal() for w in words[3:]):
            continue
        origin, upstream, address = Origin(words[0]), words[1], words[2]
        status, milliseconds, count = (int(word) for word in words[3:])
        by_address = rows.setdefault((origin, upstream), {})
        row = (milliseconds / 1000, status >= FIRST_FAILURE, count)
        by_address.setdefault(address, []).append(row)
    return {
        key: ReleaseStats({a: RequestStats.from_counts(found) for a, found in by_address.items()})
        for key, by_address in rows.items()
    }


def parse_seconds(text: str) -> Iterator[SecondCount]:
    """Parses the output of `by_second`; skips lines of any other form."""
    for line in text.splitlines():
        words = line.split()
        if len(words) != 6 or words[1] not in Origin or not all(w.isdecimal() for w in words[3:]):
            continue
        try:
            at = datetime.fromisoformat(words[0]).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
        status, milliseconds, count = (int(word) for word in words[3:])
        failed = status >= FIRST_FAILURE
        yield SecondCount(at, Origin(words[1]), words[2], milliseconds / 1000, failed, count)
