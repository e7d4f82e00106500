"""Reads the machine's usage, its processes, and the rates between two readings."""

import time
from dataclasses import dataclass
from typing import NamedTuple

import psutil

ROOT = "/"


class Totals(NamedTuple):
    """Bytes transferred since the machine started, read at `at_s` of the monotonic clock."""

    at_s: float
    net_sent: int
    net_recv: int
    disk_read: int
    disk_write: int


@dataclass(frozen=True)
class UsageReading:
    """Usage of the machine: `cpu`, `mem` and `disk` in percent; `net_*`, `disk_read` and `disk_write` in
    bytes per second over the last `interval_s`; `*_used` and `*_total` in bytes; `sampled_at` in Unix
    seconds."""

    cpu: float
    mem: float
    disk: float
    net_sent: float
    net_recv: float
    disk_read: float
    disk_write: float
    interval_s: float
    sampled_at: float
    mem_used: int
    mem_total: int
    disk_used: int
    disk_total: int


@dataclass(frozen=True)
class ProcessReading:
    """Usage of a process: `memory_percent` of the machine's memory, and `cpu_times` in seconds (user,
    system, children's user, children's system, waiting for I/O). None where the kernel denies access."""

    pid: int
    name: str
    memory_percent: float | None
    num_threads: int | None
    cpu_times: tuple[float, ...] | None


def read_totals() -> Totals:
    net = psutil.net_io_counters()
    disk = psutil.disk_io_counters()
    # Unlike the type stubs say, either is None if the kernel shows no network card or no disk.
    return Totals(
        at_s=time.monotonic(),
        net_sent=getattr(net, "bytes_sent", 0),
        net_recv=getattr(net, "bytes_recv", 0),
        disk_read=getattr(disk, "read_bytes", 0),
        disk_write=getattr(disk, "write_bytes", 0),
    )


def read_usage(before: Totals, now: Totals) -> UsageReading:
    """Returns the usage between two totals. `cpu` covers the time since this thread's last call."""
    memory = psutil.virtual_memory()
    disk = psutil.disk_usage(ROOT)
    interval_s = now.at_s - before.at_s
    return UsageReading(
        cpu=psutil.cpu_percent(interval=None),
        mem=memory.percent,
        disk=disk.percent,
        net_sent=rate(before.net_sent, now.net_sent, interval_s),
        net_recv=rate(before.net_recv, now.net_recv, interval_s),
        disk_read=rate(before.disk_read, now.disk_read, interval_s),
        disk_write=rate(before.disk_write, now.disk_write, interval_s),
        interval_s=round(interval_s, 3),
        sampled_at=round(time.time(), 3),
        mem_used=memory.total - memory.available,
        mem_total=memory.total,
        disk_used=disk.used,
        disk_total=disk.total,
    )


def rate(before: int, now: int, interval_s: float) -> float:
    """Returns the rate per second; 0 if the counter decreased, as when a network card is removed."""
    if interval_s <= 0 or now < before:
        return 0.0
    return round((now - before) / interval_s, 1)


def read_processes() -> tuple[ProcessReading, ...]:
    attributes = ["pid", "name", "memory_percent", "num_threads", "cpu_times"]
    return tuple(_process(process.info) for process in psutil.process_iter(attributes))


def _process(info: dict[str, object]) -> ProcessReading:
    memory_percent, cpu_times = info["memory_percent"], info["cpu_times"]
    return ProcessReading(
        pid=int(str(info["pid"])),
        name=str(info["name"] or ""),
        memory_percent=round(memory_percent, 3) if isinstance(memory_percent, float) else None,
        num_threads=info["num_threads"] if isinstance(info["num_threads"], int) else None,
        cpu_times=tuple(cpu_times) if isinstance(cpu_times, tuple) else None,
    )
