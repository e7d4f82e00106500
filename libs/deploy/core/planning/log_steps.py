"""Plans which logs of removed replicas a host keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploy.core.planning.steps import KeepLogs
from deploy.core.state.host import Container, HostState
from deploy.core.state.release import sequence_of

KEPT_RELEASES = 5
"""Of how many releases a host keeps the logs. They are the last that failed, were rolled back or lost a replica."""


def keep_logs(
    host: HostState, service: str, replicas: Sequence[Container], because: str
) -> Iterator[KeepLogs]:
    """Yields the step for each release that these replicas belong to, oldest first."""
    kept = sorted((r for owner, r in host.kept_logs if owner == service), key=sequence_of)
    for release in sorted({replica.release for replica in replicas}, key=sequence_of):
        kept = [*(other for other in kept if other != release), release]
        dropped, kept = kept[:-KEPT_RELEASES], kept[-KEPT_RELEASES:]
        names = tuple(replica.name for replica in replicas if replica.release == release)
        yield KeepLogs(host.host, service, release, names, tuple(dropped), because)
