"""Runs the scripts for drains on this machine, below another root and with a fake `docker`."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.core.commands import draining, paths
from deploy.testing.local_root import LocalRoot

RELEASE = "r000001-3f9c2ab"


@pytest.fixture
def machine(tmp_path: Path) -> LocalRoot:
    machine = LocalRoot.at(tmp_path / "root with a space")
    (machine.fake / "edges").write_text("0c1d old\n")
    return machine


def record(machine: LocalRoot) -> Path:
    return machine.root / Path(paths.draining_file("app", RELEASE)).relative_to(paths.ROOT)


def test_the_hosts_time_and_the_edges_processes_are_printed(machine: LocalRoot) -> None:
    time, *processes = machine.run(draining.look()).stdout.decode().splitlines()
    assert float(time) > 1_700_000_000
    assert processes == ["old PID COMMAND", "old 7 nginx: worker process"]


def test_the_time_is_printed_even_if_the_processes_cannot_be_listed(machine: LocalRoot) -> None:
    (machine.fake / "broken-top").touch()
    done = machine.run(draining.look())
    assert done.returncode != 0
    assert float(done.stdout) > 1_700_000_000


def test_a_record_is_written_whole_and_replaces_an_earlier_drain(machine: LocalRoot) -> None:
    assert machine.run(draining.begin("app", RELEASE, 3), b"one").returncode == 0
    record(machine).with_suffix(draining.MARK).write_text("0c1d\n")
    assert machine.run(draining.begin("app", RELEASE, 3), b"two").returncode == 0
    assert record(machine).read_text() == "two"
    assert [file.name for file in record(machine).parent.iterdir()] == [f"{RELEASE}.json"]


def test_a_record_that_was_cut_short_is_not_written(machine: LocalRoot) -> None:
    assert machine.run(draining.begin("app", RELEASE, 4), b"one").returncode != 0
    assert not record(machine).exists()


def test_a_drain_that_is_taken_back_removes_what_was_signalled(machine: LocalRoot) -> None:
    assert machine.run(draining.begin("app", RELEASE, 3), b"one").returncode == 0
    record(machine).with_suffix(draining.MARK).write_text("0c1d\n2e3f\n")
    assert machine.run(draining.cancel("app", RELEASE)).returncode == 0
    assert machine.calls() == ["rm --force 0c1d 2e3f"]
    assert list(record(machine).parent.iterdir()) == []


def test_a_drain_without_a_mark_is_taken_back_without_touching_a_replica(
    machine: LocalRoot,
) -> None:
    assert machine.run(draining.begin("app", RELEASE, 3), b"one").returncode == 0
    for _ in range(2):
        assert machine.run(draining.cancel("app", RELEASE)).returncode == 0
    assert machine.calls() == []


def test_the_record_stays_if_a_signalled_replica_cannot_be_removed(machine: LocalRoot) -> None:
    assert machine.run(draining.begin("app", RELEASE, 3), b"one").returncode == 0
    record(machine).with_suffix(draining.MARK).write_text("0c1d\n")
    (machine.fake / "broken-rm").touch()
    assert machine.run(draining.cancel("app", RELEASE)).returncode != 0
    assert record(machine).exists()
