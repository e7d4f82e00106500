"""What one look at the machine gives, and the rates between two looks; it never waits."""

import time
from dataclasses import dataclass
from typing import NamedTuple

import psutil

ROOT = "/"


class Totals(NamedTuple):
    """Bytes since the machine started, seen at `at_s` of a monotonic clock."""

    at_s: float
    net_sent: int
    net_recv: int
    disk_read: int
    disk_write: int


@dataclass(frozen=True)
class Reading:
    """`cpu`, `mem`, `disk` in percent; `net_*` and `disk_read`, `disk_write` in bytes a second
    over the last `interval_s`; `*_used` and `*_total` in bytes; `sampled_at` in Unix seconds."""

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
class Process:
    """`memory_percent` of the machine's memory; `cpu_times` in seconds: user, system, children's
    user, children's system, waiting for I/O. None where the kernel doesn't tell."""

    pid: int
    name: str
    memory_percent: float | None
    num_threads: int | None
    cpu_times: tuple[float, ...] | None


def read_totals() -> Totals:
    net = psutil.net_io_counters()
    disk = psutil.disk_io_counters()
    # Either is None, whatever the type stubs say, where the kernel shows no card or no disk.
    return Totals(
        at_s=time.monotonic(),
        net_sent=getattr(net, "bytes_sent", 0),
        net_recv=getattr(net, "bytes_recv", 0),
        disk_read=getattr(disk, "read_bytes", 0),
        disk_write=getattr(disk, "write_bytes", 0),
    )


def read_machine(before: Totals, now: Totals) -> Reading:
    """The percentage of CPU is over the time since the last call in this thread."""
    memory = psutil.virtual_memory()
    disk = psutil.disk_usage(ROOT)
    interval_s = now.at_s - before.at_s
    return Reading(
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
    """A second; 0 when a counter went back, as it does when a network card is taken away."""
    if interval_s <= 0 or now < before:
        return 0.0
    return round((now - before) / interval_s, 1)


def read_processes() -> tuple[Process, ...]:
    attributes = ["pid", "name", "memory_percent", "num_threads", "cpu_times"]
    return tuple(_process(process.info) for process in psutil.process_iter(attributes))


def _process(info: dict[str, object]) -> Process:
    memory_percent, cpu_times = info["memory_percent"], info["cpu_times"]
    return Process(
        pid=int(str(info["pid"])),
        name=str(info["name"] or ""),
        memory_percent=round(memory_percent, 3) if isinstance(memory_percent, float) else None,
        num_threads=info["num_threads"] if isinstance(info["num_threads"], int) else None,
        cpu_times=tuple(cpu_times) if isinstance(cpu_times, tuple) else None,
    )
