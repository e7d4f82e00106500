"""Facts about this machine, and from files of others."""

from pathlib import Path

from app.machine import cpu_model, inspect, memory_limit
from app.pages import in_bytes, in_days


def test_this_machine_has_the_facts() -> None:
    machine = inspect()
    assert machine.host
    assert machine.system
    assert machine.cpu_threads >= 1
    assert machine.uptime_s > 0
    assert any("127.0.0.1" in interface.addresses for interface in machine.interfaces)


def test_a_limit_counts_only_below_the_machines_memory(tmp_path: Path) -> None:
    v2, v1 = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    assert memory_limit((v2, v1), 1000) is None
    v1.write_text("9223372036854771712\n")
    assert memory_limit((v2, v1), 1000) is None
    v1.write_text("256\n")
    assert memory_limit((v2, v1), 1000) == 256
    v2.write_text("max\n")
    assert memory_limit((v2,), 1000) is None


def test_the_cpu_model_is_read() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Fast 9000\n") == "Fast 9000"
    assert cpu_model("processor\t: 0\n") == "unknown"


def test_values_read_well() -> None:
    assert [in_bytes(count) for count in (0, 1023, 1024, 150 * 1024, 3 * 1024**3)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "150 KiB",
        "3.0 GiB",
    ]
    assert [in_days(seconds) for seconds in (59, 3700, 90000)] == ["0 min", "1 h 1 min", "1 d 1 h"]
