"""Whether a host is fit for a deploy, from what was seen; never looks itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from deploy.core.config import Environment
from deploy.core.planning.plan import Wanted
from deploy.core.state.observed import Observed

OLDEST_ENGINE = (26, 0)
OLDEST_COMPOSE = (2, 26)
LEAST_FREE_BYTES = 1_000_000_000
LEAST_WITHOUT_PULL_BYTES = 50_000_000
"""Records, logs and a container's own files: a way back must be open on a disk that holds no image more."""
UNPACKED = 4
"""What an image takes of the disk, as a multiple of what its pull moves: layers are compressed, and unpacked beside."""
SKEW_S = 30.0


def unfit(
    observed: Observed, *, needed_bytes: int | None = 0, ports: Mapping[int, str] | None = None
) -> tuple[str, ...]:
    """Returns what is wrong with a host, a line each with the fix; empty if it is fit.

    `needed_bytes` is what a pull will put on its disk, None where nothing is pulled; `ports` are those that must be
    free and what they are for.
    """
    if observed.problem:
        return (observed.problem,)
    problems = []
    if _version(observed.engine_version) < OLDEST_ENGINE:
        problems.append(
            f"its Docker engine {observed.engine_version or '?'} is older than 26; upgrade it"
        )
    if _version(observed.compose_version) < OLDEST_COMPOSE:
        problems.append(
            f"its docker compose {observed.compose_version or '?'} is older than 2.26; upgrade it"
        )
    least = LEAST_FREE_BYTES + (needed_bytes or 0)
    if needed_bytes is None:
        least = LEAST_WITHOUT_PULL_BYTES
    if observed.disk_free_bytes < least:
        free = observed.disk_free_bytes / 1e6
        problems.append(
            f"{free:.0f} MB of disk are free where {least / 1e6:.0f} MB are needed; "
            "`docker system df` shows what to remove"
        )
    problems += [
        f"port {port} ({what}) is taken by something else; `ss -ltnp` there shows by what"
        for port, what in (ports or {}).items()
        if port in observed.listening
    ]
    return tuple(f"{observed.host}: {problem}" for problem in problems)


def missing_images(wanted: Wanted, observed: Observed) -> tuple[str, ...]:
    """Returns the images that a host would have to pull."""
    images = dict.fromkeys([wanted.release.image, *(part.image for part in wanted.parts)])
    return tuple(image for image in images if image not in observed.images)


def needed_bytes(images: Iterable[str], sizes: Mapping[str, int]) -> int:
    """Returns what a pull of these images puts on a disk."""
    return UNPACKED * sum(sizes.get(image, 0) for image in images)


def ports_to_take(
    environment: Environment, wanted: Wanted, observed: Observed
) -> Mapping[int, str]:
    """Returns the ports that parts will listen on which don't run yet, and what for."""
    found: dict[int, str] = {}
    starting = {part.name for part in wanted.parts if not observed.part_keys(part.name)}
    if "edge" in starting:
        found[environment.edge.http_port] = "the edge, edge.http_port"
        found[environment.edge.preview_port] = "the edge's preview, edge.preview_port"
    if "metrics" in starting and environment.metrics is not None:
        found[environment.metrics.port] = "the host's Prometheus, metrics.port"
    return found


def skew(observed: Observed, now: str) -> str:
    """Says how far a host's clock is from `now` (UTC, ISO 8601) if that is much, "" if not.

    Releases and turns are ordered by numbers of their own, so a deploy goes on; logs and metrics will mislead.
    """
    off_s = observed.now_s - datetime.fromisoformat(now).timestamp()
    if not observed.now_s or abs(off_s) <= SKEW_S:
        return ""
    return (
        f"its clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} this machine's; "
        "the deploy goes on, but times in its logs and metrics mislead: see `timedatectl` there"
    )


def _version(text: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
