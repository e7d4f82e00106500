"""System information of this machine and from sample files, and how the pages format it."""

from pathlib import Path

from app.pages import format_bytes, format_duration
from app.system_info import cpu_model, memory_limit, read_system_info


def test_system_info_of_this_machine_is_complete() -> None:
    info = read_system_info()
    assert info.hostname
    assert info.os_name
    assert info.cpu_threads >= 1
    assert info.uptime_s > 0
    assert any("127.0.0.1" in interface.addresses for interface in info.interfaces)


def test_memory_limits_above_the_machines_memory_are_ignored(tmp_path: Path) -> None:
    v2, v1 = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    assert memory_limit((v2, v1), 1000) is None
    v1.write_text("9223372036854771712\n")
    assert memory_limit((v2, v1), 1000) is None
    v1.write_text("256\n")
    assert memory_limit((v2, v1), 1000) == 256
    v2.write_text("max\n")
    assert memory_limit((v2,), 1000) is None


def test_cpu_model_is_unknown_if_the_kernel_names_none() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Fast 9000\n") == "Fast 9000"
    assert cpu_model("processor\t: 0\n") == "unknown"


def test_bytes_and_durations_are_formatted_for_people() -> None:
    assert [format_bytes(count) for count in (0, 1023, 1024, 150 * 1024, 3 * 1024**3)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "150 KiB",
        "3.0 GiB",
    ]
    assert [format_duration(seconds) for seconds in (59, 3700, 90000)] == [
        "0 min",
        "1 h 1 min",
        "1 d 1 h",
    ]
