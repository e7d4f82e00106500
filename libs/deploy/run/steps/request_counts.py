"""Counts requests in the access logs of the hosts' edges."""

from __future__ import annotations

from deploy.core.analysis import access_log
from deploy.core.analysis.access_log import SYNTHETIC_PREFIX, Counts, parse_counts
from deploy.core.ports import Host
from deploy.errors import CommandError
from deploy.run.hosts.locked_host import last_line

_LATER_S = 1.0
"""How far the end of a count lies in the future, so that lines written this instant are part of it."""


def host_time(host: Host) -> float:
    """Returns the host's clock in seconds since 1970. Raises CommandError if it can't be read."""
    done = host.run(access_log.host_time())
    try:
        return float(done.stdout)
    except ValueError as error:
        raise CommandError(f"{host.name}: can't read its clock: {last_line(done)}") from error


def count_since(host: Host, since: float, prefix: str = SYNTHETIC_PREFIX) -> Counts:
    """Returns the counts of the requests that a host's edge logged from `since` on, by that host's clock.

    Synthetic requests count only if their id begins with `prefix`. Raises CommandError if the log can't be read.
    """
    argv = access_log.count_requests(since, host_time(host) + _LATER_S, prefix)
    done = host.run(argv, timeout_s=60)
    if done.code != 0:
        raise CommandError(f"{host.name}: can't read the edge's access log: {last_line(done)}")
    return parse_counts(done.stdout)
