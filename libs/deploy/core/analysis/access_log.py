"""Argv that boil the edge's access log down to counts, on the host itself; never runs one.

A log of a busy hour is gigabytes and an SSH channel is thin, so what comes back is one line for each release, address,
status and rounded time. All times are the host's own: no other clock takes part.
"""

from __future__ import annotations

from collections.abc import Mapping

from deploy.core.analysis.samples import FIRST_FAILURE, ReleaseStats, counted

USERS, SYNTHETIC = "users", "synthetic"
MARK = "ship-gate-"
"""How the request ids of synthetic requests begin."""
VERIFYING = "ship-verify"
"""The request id of the tool's own look at a release, which is no evidence."""

# A string in nginx's JSON has its quotes escaped, so `"name":` can stand for a key alone.
_FIELD = r"""
  function field(name,  at, rest) {
    at = index($0, "\"" name "\":")
    if (!at) return ""
    rest = substr($0, at + length(name) + 3)
    if (substr(rest, 1, 1) == "\"") { rest = substr(rest, 2); sub(/".*/, "", rest) }
    else sub(/[,}].*/, "", rest)
    return rest
  }"""

# $1 since, $2 until: seconds of the host's clock since 1970, with fractions. 499 is a client that left: no answer of
# the release's.
_COUNT = (
    r"""
for edge in $(docker ps --quiet --filter label=py-cicd.name=edge); do
  docker logs --since "$1" --until "$2" "$edge" 2>/dev/null || exit 1
done | awk -v any="$3" -v verifying="$4" -v mark="$5" '"""
    + _FIELD
    + r"""
  {
    upstream = field("upstream"); id = field("request_id"); status = field("status")
    if (upstream == "" || id == verifying || status == 499) next
    address = field("upstream_address"); sub(/.*[ ,]/, "", address)
    ms = int(field("seconds") * 1000 + 0.5)
    if (ms >= 1000) ms = int(ms / 50 + 0.5) * 50
    else if (ms >= 100) ms = int(ms / 5 + 0.5) * 5
    origin = substr(id, 1, length(any)) == any ? "synthetic" : "users"
    if (origin == "synthetic" && substr(id, 1, length(mark)) != mark) next
    seen[origin " " upstream " " (address == "" ? "-" : address) " " status " " ms]++
  }
  END { for (key in seen) print key, seen[key] }'
"""
)

# $1 since, $2 until. Docker puts its own time, UTC, before each line.
_BY_SECOND = (
    r"""
for edge in $(docker ps --quiet --filter label=py-cicd.name=edge); do
  docker logs --timestamps --since "$1" --until "$2" "$edge" 2>/dev/null || exit 1
done | awk -v verifying="$3" '"""
    + _FIELD
    + r"""
  {
    upstream = field("upstream")
    if (upstream == "" || field("request_id") == verifying) next
    ms = int(field("seconds") * 1000 + 0.5)
    if (ms >= 100) ms = int(ms / 20 + 0.5) * 20
    seen[substr($1, 1, 19) " " upstream " " field("status") " " ms]++
  }
  END { for (key in seen) print key, seen[key] }'
"""
)


def host_time() -> list[str]:
    """Prints the host's clock in seconds since 1970, with fractions."""
    return ["date", "+%s.%N"]


def count_requests(since: float, until: float, mark: str = MARK) -> list[str]:
    """Prints `origin upstream address status milliseconds count` of the requests that the edges logged in a time.

    Of the synthetic ones only those count whose id begins with `mark`.
    """
    times = [f"{since:.3f}", f"{until:.3f}"]
    return ["sh", "-c", _COUNT, "requests", *times, MARK, VERIFYING, mark]


def by_second(since: float, until: float) -> list[str]:
    """Prints `UTC-second upstream status milliseconds count` of all requests but our own looks."""
    return ["sh", "-c", _BY_SECOND, "seconds", f"{since:.3f}", f"{until:.3f}", VERIFYING]


def parse_counts(text: str) -> Mapping[tuple[str, str], ReleaseStats]:
    """Reads what the hosts' count of the edge's log prints, into a side per (origin, upstream).

    Each line is `origin upstream address status milliseconds count`; lines that are not are passed over, since a log
    may hold anything.
    """
    found: dict[tuple[str, str], dict[str, list[tuple[float, bool, int]]]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) != 6 or not all(each.isdigit() for each in words[3:]):
            continue
        origin, upstream, address = words[:3]
        status, milliseconds, count = (int(each) for each in words[3:])
        rows = found.setdefault((origin, upstream), {}).setdefault(address, [])
        rows.append((milliseconds / 1000, status >= FIRST_FAILURE, count))
    return {
        key: ReleaseStats({address: counted(rows) for address, rows in by_address.items()})
        for key, by_address in found.items()
    }
