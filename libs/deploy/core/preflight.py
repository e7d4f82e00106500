"""Whether a host is fit for a deploy, from what was seen; never looks itself."""

from __future__ import annotations

import re

from deploy.core.observed import Observed

OLDEST_ENGINE = (26, 0)
OLDEST_COMPOSE = (2, 26)
LEAST_FREE_BYTES = 1_000_000_000


def unfit(observed: Observed) -> tuple[str, ...]:
    """Returns what is wrong with a host, a line each with the fix; empty if it is fit."""
    problems = []
    if _version(observed.engine_version) < OLDEST_ENGINE:
        problems.append(
            f"its Docker engine {observed.engine_version or '?'} is older than 26; upgrade it"
        )
    if _version(observed.compose_version) < OLDEST_COMPOSE:
        problems.append(
            f"its docker compose {observed.compose_version or '?'} is older than 2.26; upgrade it"
        )
    if observed.disk_free_bytes < LEAST_FREE_BYTES:
        free = observed.disk_free_bytes / 1e6
        problems.append(
            f"{free:.0f} MB of disk are free where 1000 MB are needed; `docker system df` shows what to remove"
        )
    return tuple(f"{observed.host}: {problem}" for problem in problems)


def _version(text: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
