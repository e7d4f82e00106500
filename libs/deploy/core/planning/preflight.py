"""Checks whether a host is fit for a deploy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from deploy.core.config import Environment
from deploy.core.planning import host_steps
from deploy.core.planning.plan import DesiredState
from deploy.core.stacks.nginx_conf import render_edge
from deploy.core.state.host import HostState

OLDEST_ENGINE = (26, 0)
OLDEST_COMPOSE = (2, 26)
LEAST_FREE_BYTES = 1_000_000_000
LEAST_WITHOUT_PULL_BYTES = 50_000_000
"""For records, logs and a container's own files: a rollback must work on a disk without room for another image."""
UNPACKED = 4
"""An image's size on disk, as a multiple of its download: layers are compressed, and unpacked beside the archive."""
SKEW_S = 30.0
LONGEST_LINE_BYTES = 4000
"""nginx reads its configuration in pieces of 4,096 bytes, and no word may be longer."""
MOST_SERVICES = 200
"""What deploy/nginx/nginx.conf has room for, which e2e/damage_test.py checks with nginx."""


def unfit(
    host: HostState, *, needed_bytes: int | None = 0, ports: Mapping[int, str] | None = None
) -> tuple[str, ...]:
    """Returns a host's problems, each with its fix; empty if the host is fit.

    `needed_bytes` is the disk space that a pull will take, None if nothing is pulled. `ports` must be free; their
    values say what they are for.
    """
    if host.problem:
        return (host.problem,)
    problems = []
    if _version(host.engine_version) < OLDEST_ENGINE:
        problems.append(
            f"its Docker engine {host.engine_version or '?'} is older than 26; upgrade it"
        )
    if _version(host.compose_version) < OLDEST_COMPOSE:
        problems.append(
            f"its docker compose {host.compose_version or '?'} is older than 2.26; upgrade it"
        )
    least = LEAST_FREE_BYTES + (needed_bytes or 0)
    if needed_bytes is None:
        least = LEAST_WITHOUT_PULL_BYTES
    if host.disk_free_bytes < least:
        free = host.disk_free_bytes / 1e6
        problems.append(
            f"{free:.0f} MB of disk are free, {least / 1e6:.0f} MB are needed; "
            "`docker system df` shows what to remove"
        )
    problems += [
        f"port {port} ({purpose}) is taken by another program; `ss -ltnp` on that host shows which"
        for port, purpose in (ports or {}).items()
        if port in host.listening
    ]
    return tuple(f"{host.host}: {problem}" for problem in problems)


def missing_images(desired: DesiredState, host: HostState) -> tuple[str, ...]:
    """Returns the images that a host has to pull."""
    images = dict.fromkeys([desired.release.image, *(stack.image for stack in desired.stacks)])
    return tuple(image for image in images if image not in host.images)


def needed_bytes(images: Iterable[str], sizes: Mapping[str, int]) -> int:
    """Returns the disk space that a pull of these images takes; `sizes` are their download sizes."""
    return UNPACKED * sum(sizes.get(image, 0) for image in images)


def ports_to_take(
    environment: Environment, desired: DesiredState, host: HostState
) -> Mapping[int, str]:
    """Returns the ports on which stacks that don't run yet will listen, and what each is for."""
    found: dict[int, str] = {}
    starting = {stack.name for stack in desired.stacks if not host.stack_keys(stack.name)}
    if "edge" in starting:
        found[environment.edge.http_port] = "the edge, edge.http_port"
        found[environment.edge.preview_port] = "the edge's preview, edge.preview_port"
    if "metrics" in starting and environment.metrics is not None:
        found[environment.metrics.port] = "the host's Prometheus, metrics.port"
    return found


def oversized(environment: Environment, desired: DesiredState, host: HostState) -> tuple[str, ...]:
    """Returns why nginx would refuse the routes that the host's edge gets, by their sizes; usually nothing.

    During a rollout the routes are at their longest: they list the replicas of both releases.
    """
    state = host.edge.with_route(host_steps.with_candidate(desired, host))
    edge = environment.edge
    text = render_edge(state, http_port=edge.http_port, preview_port=edge.preview_port)
    longest = max(len(line.encode()) for line in text.splitlines())
    problems = []
    if longest > LONGEST_LINE_BYTES:
        problems.append(
            f"a line of its routes has {longest} bytes, nginx takes {LONGEST_LINE_BYTES}"
        )
    if len(state.routes) > MOST_SERVICES:
        problems.append(f"it would serve {len(state.routes)} services, at most {MOST_SERVICES} fit")
    return tuple(
        f"{host.host}: {problem}; shorten paths and host names, or use more hosts"
        for problem in problems
    )


def clock_warning(host: HostState, now: str) -> str | None:
    """Returns a warning if a host's clock is far from `now` (UTC, ISO 8601), else None.

    A deploy doesn't depend on clocks, since releases and turns have numbers. Times in logs and metrics do.
    """
    off_s = host.now_s - datetime.fromisoformat(now).timestamp()
    if not host.now_s or abs(off_s) <= SKEW_S:
        return None
    return (
        f"its clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} this machine's; "
        "the deploy goes on, but times in its logs and metrics are wrong: see `timedatectl` on that host"
    )


def _version(text: str) -> tuple[int, int]:
    found = re.match(r"v?([0-9]{1,9})\.([0-9]{1,9})", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
