"""Measures the memory and the CPU that containers of a host use while nobody sends a request."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from e2e.live_sandbox import HostContainer

_UNITS = {"B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_CPU = (
    'for id in "$@"; do cat /sys/fs/cgroup/cpuacct/docker/$id/cpuacct.usage 2>/dev/null '
    "|| awk '$1 == \"usage_usec\" { print $2 * 1000 }' /sys/fs/cgroup/docker/$id/cpu.stat; done"
)
"""Prints the nanoseconds of CPU that each container has used, with cgroups of version 1 or 2."""


@dataclass(frozen=True)
class Usage:
    """What one container uses: its memory in bytes as `docker stats` counts it, its CPU in percent of one core."""

    memory: float
    cpu: float


def memory_of(stats: str) -> dict[str, float]:
    """Returns bytes by container of lines `NAME 35.1MiB / 256MiB`. Raises ValueError for another line."""
    found = {}
    for line in stats.splitlines():
        match = re.fullmatch(r"(\S+) ([\d.]+)([KMG]?i?B) / .*", line)
        if match is None:
            raise ValueError(f"docker stats printed {line!r}")
        found[match[1]] = float(match[2]) * _UNITS[match[3].upper()]
    return found


def idle_usage(host: HostContainer, *, seconds: float) -> tuple[Mapping[str, Usage], float]:
    """Returns the usage of each container on a host over this time, and the CPU of the whole host in percent."""
    ids, names = _containers(host)
    before, host_before, begun = _cpu_ns(host, ids), _host_cpu_ns(host), time.monotonic()
    time.sleep(seconds)
    after, host_after = _cpu_ns(host, ids), _host_cpu_ns(host)
    elapsed_ns = (time.monotonic() - begun) * 1e9
    stats = host.run("docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
    memory = memory_of(stats)
    used = {
        name: Usage(memory[name], 100 * (last - first) / elapsed_ns)
        for name, first, last in zip(names, before, after, strict=True)
    }
    return used, 100 * (host_after - host_before) / elapsed_ns


def mean_of(used: Mapping[str, Usage], prefix: str) -> Usage:
    """Returns the mean usage of the containers whose names start so."""
    found = [usage for name, usage in used.items() if name.startswith(prefix)]
    count = len(found)
    return Usage(
        sum(each.memory for each in found) / count, sum(each.cpu for each in found) / count
    )


def cpu_seconds(host: HostContainer) -> Mapping[str, float]:
    """Returns the seconds of CPU that each container on a host has used, by name."""
    ids, names = _containers(host)
    return {name: ns / 1e9 for name, ns in zip(names, _cpu_ns(host, ids), strict=True)}


def _containers(host: HostContainer) -> tuple[Sequence[str], Sequence[str]]:
    """Returns the ids and the names of the containers that run on a host."""
    listed = host.run("docker", "ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}").split()
    return listed[::2], listed[1::2]


def _cpu_ns(host: HostContainer, ids: Sequence[str]) -> list[float]:
    return [float(text) for text in host.run("sh", "-c", _CPU, "sh", *ids).split()]


def _host_cpu_ns(host: HostContainer) -> float:
    stats = host.container.stats(stream=False)
    assert isinstance(stats, dict)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"])
