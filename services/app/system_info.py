"""Reads facts about host, platform, CPU, memory and network for the system page."""

import os
import platform
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from app.readings import ROOT

# The container's memory limit in control groups version 2 and 1.
_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True)
class Interface:
    name: str
    up: bool
    speed_mbit: int
    mtu: int
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class SystemInfo:
    """Facts about the machine, sizes in bytes. `memory_limit` is the container's, None if it has none."""

    hostname: str
    os_name: str
    kernel: str
    architecture: str
    python: str
    uptime_s: float
    cpu_model: str
    cpu_cores: int
    cpu_threads: int
    load: tuple[float, float, float]
    memory_total: int
    memory_used: int
    memory_limit: int | None
    swap_total: int
    swap_used: int
    disk_total: int
    disk_used: int
    interfaces: tuple[Interface, ...]


def read_system_info() -> SystemInfo:
    memory, swap, disk = psutil.virtual_memory(), psutil.swap_memory(), psutil.disk_usage(ROOT)
    return SystemInfo(
        hostname=socket.gethostname(),
        os_name=_os_name(),
        kernel=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        uptime_s=time.time() - psutil.boot_time(),
        cpu_model=_cpu_model(),
        cpu_cores=psutil.cpu_count(logical=False) or 0,
        cpu_threads=psutil.cpu_count() or 0,
        load=os.getloadavg(),
        memory_total=memory.total,
        memory_used=memory.total - memory.available,
        memory_limit=memory_limit(_MEMORY_LIMITS, memory.total),
        swap_total=swap.total,
        swap_used=swap.used,
        disk_total=disk.total,
        disk_used=disk.used,
        interfaces=tuple(_interfaces()),
    )


def memory_limit(files: Iterable[Path], memory_total: int) -> int | None:
    """Returns the first limit found in `files`. None if there is none below the machine's memory."""
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < memory_total:
            return int(text)
    return None


def cpu_model(cpuinfo: str) -> str:
    """Returns the model name in the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return "unknown"


@cache
def _cpu_model() -> str:
    try:
        return cpu_model(Path("/proc/cpuinfo").read_text())
    except OSError:
        return "unknown"


@cache
def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _interfaces() -> list[Interface]:
    stats = psutil.net_if_stats()
    return [
        Interface(
            name=name,
            up=name in stats and stats[name].isup,
            speed_mbit=stats[name].speed if name in stats else 0,
            mtu=stats[name].mtu if name in stats else 0,
            addresses=tuple(
                address.address.partition("%")[0]
                for address in addresses
                if address.family in (socket.AF_INET, socket.AF_INET6)
            ),
        )
        for name, addresses in sorted(psutil.net_if_addrs().items())
    ]
