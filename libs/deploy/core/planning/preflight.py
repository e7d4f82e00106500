"""Whether a host is fit for a deploy, from what was seen; never looks itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from deploy.core.config import Environment
from deploy.core.planning.plan import DesiredState
from deploy.core.state.host import HostState

OLDEST_ENGINE = (26, 0)
OLDEST_COMPOSE = (2, 26)
LEAST_FREE_BYTES = 1_000_000_000
LEAST_WITHOUT_PULL_BYTES = 50_000_000
"""Records, logs and a container's own files: a way back must be open on a disk that holds no image more."""
UNPACKED = 4
"""What an image takes of the disk, as a multiple of what its pull moves: layers are compressed, and unpacked beside."""
SKEW_S = 30.0


def unfit(
    fleet: HostState, *, needed_bytes: int | None = 0, ports: Mapping[int, str] | None = None
) -> tuple[str, ...]:
    """Returns what is wrong with a host, a line each with the fix; empty if it is fit.

    `needed_bytes` is what a pull will put on its disk, None where nothing is pulled; `ports` are those that must be
    free and what they are for.
    """
    if fleet.problem:
        return (fleet.problem,)
    problems = []
    if _version(fleet.engine_version) < OLDEST_ENGINE:
        problems.append(
            f"its Docker engine {fleet.engine_version or '?'} is older than 26; upgrade it"
        )
    if _version(fleet.compose_version) < OLDEST_COMPOSE:
        problems.append(
            f"its docker compose {fleet.compose_version or '?'} is older than 2.26; upgrade it"
        )
    least = LEAST_FREE_BYTES + (needed_bytes or 0)
    if needed_bytes is None:
        least = LEAST_WITHOUT_PULL_BYTES
    if fleet.disk_free_bytes < least:
        free = fleet.disk_free_bytes / 1e6
        problems.append(
            f"{free:.0f} MB of disk are free where {least / 1e6:.0f} MB are needed; "
            "`docker system df` shows what to remove"
        )
    problems += [
        f"port {port} ({what}) is taken by something else; `ss -ltnp` there shows by what"
        for port, what in (ports or {}).items()
        if port in fleet.listening
    ]
    return tuple(f"{fleet.host}: {problem}" for problem in problems)


def missing_images(desired: DesiredState, fleet: HostState) -> tuple[str, ...]:
    """Returns the images that a host would have to pull."""
    images = dict.fromkeys([desired.release.image, *(stack.image for stack in desired.stacks)])
    return tuple(image for image in images if image not in fleet.images)


def needed_bytes(images: Iterable[str], sizes: Mapping[str, int]) -> int:
    """Returns what a pull of these images puts on a disk."""
    return UNPACKED * sum(sizes.get(image, 0) for image in images)


def ports_to_take(
    environment: Environment, desired: DesiredState, fleet: HostState
) -> Mapping[int, str]:
    """Returns the ports that parts will listen on which don't run yet, and what for."""
    found: dict[int, str] = {}
    starting = {stack.name for stack in desired.stacks if not fleet.stack_keys(stack.name)}
    if "edge" in starting:
        found[environment.edge.http_port] = "the edge, edge.http_port"
        found[environment.edge.preview_port] = "the edge's preview, edge.preview_port"
    if "metrics" in starting and environment.metrics is not None:
        found[environment.metrics.port] = "the host's Prometheus, metrics.port"
    return found


def skew(fleet: HostState, now: str) -> str:
    """Says how far a host's clock is from `now` (UTC, ISO 8601) if that is much, "" if not.

    Releases and turns are ordered by numbers of their own, so a deploy goes on; logs and metrics will mislead.
    """
    off_s = fleet.now_s - datetime.fromisoformat(now).timestamp()
    if not fleet.now_s or abs(off_s) <= SKEW_S:
        return ""
    return (
        f"its clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} this machine's; "
        "the deploy goes on, but times in its logs and metrics mislead: see `timedatectl` there"
    )


def _version(text: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
